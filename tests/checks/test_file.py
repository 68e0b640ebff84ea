"""The token file cannot be read, is not renewed, or is not what the program reads."""

import pytest

from .given import codes, commands, examined, findings, the

DEFAULT = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN = "{serviceAccountToken: {path: token, expirationSeconds: 3607}}"
REST = (
    "{configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}, "
    "{downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}}"
)
FULL = f"{{name: v, projected: {{sources: [{TOKEN}, {REST}]}}}}"
AT_DEFAULT = f"{{name: v, mountPath: {DEFAULT}}}"


def pod(
    *containers: str,
    spec: str = "",
    volume: str = FULL,
    metadata: str = "",
    status: str = "",
) -> str:
    """A pod with these containers (flow style, without the braces)."""
    text = "".join(f"  - {{image: x, {container}}}\n" for container in containers)
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: x, namespace: shop{metadata}}}
spec:
  containers:
{text}
  volumes: [{volume}]
{spec}
{"status: " + status if status else ""}
"""


LIVE = ", uid: p"


def app(more: str = "", mount: str = AT_DEFAULT, name: str = "app") -> str:
    return f"name: {name}, volumeMounts: [{mount}]{', ' + more if more else ''}"


AS_ROOT = "  securityContext: {runAsUser: 0}"


# --- SAT701


@pytest.mark.parametrize(
    ("command", "change"),
    [
        ("command: [gosu, app, server]", '"securityContext":{"runAsUser":null}'),
        (
            "command: [sh, -c, 'exec su-exec 1000:2000 server']",
            '"securityContext":{"fsGroup":2000}',
        ),
        ("args: [/usr/bin/setpriv, --reuid=5, --regid=7, x]", '"securityContext":{"fsGroup":7}'),
        ("args: [setpriv, --regid, '7', x]", '"securityContext":{"fsGroup":7}'),
        ("args: [setpriv, --regid=app, x]", '"securityContext":{"runAsUser":null}'),
        ("command: [chpst, '-u', ':1000:1001', x]", '"securityContext":{"fsGroup":1001}'),
    ],
)
def test_token_unreadable_common_runasuser_fires(command, change):
    found = findings(pod(app(command), spec=AS_ROOT))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT701", "hint", "possible")
    ]
    assert change in commands(found[0])[0]


DENIED = (
    "{containerStatuses: [{name: app, lastState: {terminated: {exitCode: 1, message: "
    f'"start\\nopen {DEFAULT}/token: permission denied"}}}}}}]}}'
)


def test_token_unreadable_common_runasuser_fires_where_the_container_has_said_so():
    own = app("securityContext: {runAsUser: 0}")
    finding = the(findings(pod(own, metadata=LIVE, status=DENIED)), "SAT701")
    assert (finding.severity, finding.certainty) == ("error", "likely")
    (command,) = commands(finding)
    assert '"containers":[{"name":"app","securityContext":{"runAsUser":null}}]' in command


@pytest.mark.parametrize(
    ("containers", "spec"),
    [
        pytest.param([app()], AS_ROOT, id="root that stays root"),
        pytest.param([app()], "  securityContext: {runAsUser: 1000}", id="a user that stays so"),
        pytest.param([app("command: [gosu, app, x]")], "", id="a user of the image"),
        pytest.param(
            [app("command: [gosu, app, x]")],
            "  securityContext: {runAsUser: 0, fsGroup: 5}",
            id="the group may read",
        ),
        pytest.param(
            [
                app("command: [gosu, app, x]"),
                app("securityContext: {runAsUser: 7}", name="other"),
            ],
            AS_ROOT,
            id="two users",
        ),
        pytest.param([app("command: [super, x]")], AS_ROOT, id="another program"),
    ],
)
def test_token_unreadable_common_runasuser_quiet(containers, spec):
    assert codes(pod(*containers, spec=spec)) == []


# --- SAT702


def strict(mode: str = "0400") -> str:
    return FULL.replace("projected: {", f"projected: {{defaultMode: {mode}, ")


AS_USER = "securityContext: {runAsUser: 1000}"
SIDECAR = "name: sidecar, securityContext: {runAsUser: 2000}"


@pytest.mark.parametrize(
    ("user", "mode"),
    [
        (AS_USER, "0400"),
        (AS_USER, "256"),
        (AS_USER, "0600"),
        ("securityContext: {runAsNonRoot: true}", "0400"),
        ("securityContext: {runAsUser: 1000, runAsGroup: 1000}", "0440"),
    ],
)
def test_token_unreadable_defaultmode_fires(user, mode):
    side = f"{SIDECAR}, volumeMounts: [{{name: e, mountPath: {DEFAULT}}}]"
    volume = f"{strict(mode)}, {{name: e, emptyDir: {{}}}}"
    finding = the(findings(pod(app(user), side, volume=volume)), "SAT702")
    assert (finding.severity, finding.certainty) == ("error", "certain")
    assert "container app may not read the token" in finding.message
    (command,) = commands(finding)
    assert '"volumes":[{"name":"v","projected":{"defaultMode":420}}]' in command


def test_token_unreadable_defaultmode_fires_as_a_warning_where_others_may_read():
    found = findings(pod(app(AS_USER), app(name="root"), volume=strict()))
    assert [(one.code, one.severity) for one in found] == [("SAT702", "warning")]


SECRET = """---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: shop, annotations: {kubernetes.io/service-account.name: default}}
type: kubernetes.io/service-account-token
data: {token: eA==}
"""


@pytest.mark.parametrize(
    ("mode", "change"),
    [
        ("defaultMode: 0400", '"secret":{"defaultMode":420}'),
        (
            "items: [{key: token, path: token, mode: 0400}]",
            '"secret":{"defaultMode":420,"items":[{"key":"token","path":"token"}]}',
        ),
    ],
)
def test_token_unreadable_defaultmode_fires_on_a_secret(mode, change):
    # a Secret's files are root's even where all containers have one user
    volume = f"{{name: v, secret: {{secretName: s, {mode}}}}}"
    finding = the(findings(pod(app(AS_USER), volume=volume) + SECRET), "SAT702")
    assert finding.severity == "error"
    assert change in commands(finding)[0]


@pytest.mark.parametrize(
    ("containers", "spec", "volume"),
    [
        pytest.param([app(AS_USER), SIDECAR], "", FULL, id="the usual mode"),
        pytest.param([app(AS_USER), SIDECAR], "", strict("0644"), id="readable by all"),
        pytest.param([app(AS_USER)], "", strict(), id="one user, whose file it is"),
        pytest.param([app()], "", strict(), id="the image's user, most likely root"),
        pytest.param([app("securityContext: {runAsUser: 0}")], "", strict(), id="root"),
        pytest.param(
            [app(AS_USER), SIDECAR], "  securityContext: {fsGroup: 5}", strict(), id="a group"
        ),
        pytest.param([app(AS_USER), SIDECAR], "", strict("0440"), id="the group may be root"),
    ],
)
def test_token_unreadable_defaultmode_quiet(containers, spec, volume):
    assert "SAT702" not in codes(pod(*containers, spec=spec, volume=volume))


# --- SAT703


def by_sub_path(path: str, sub_path: str = "token") -> str:
    return f"{{name: v, mountPath: {path}, subPath: {sub_path}}}"


@pytest.mark.parametrize(
    ("mount", "added", "says"),
    [
        (
            by_sub_path("/var/run/secrets/web/token"),
            '{"name":"v","mountPath":"/var/run/secrets/web","readOnly":true}',
            "/var/run/secrets/web/token",
        ),
        (
            by_sub_path("/etc/app/token"),
            '{"name":"v","mountPath":"/var/run/secrets/v","readOnly":true}',
            "/var/run/secrets/v/token",
        ),
        (
            by_sub_path("/var/run/secrets/web/jwt"),
            '{"name":"v","mountPath":"/var/run/secrets/v","readOnly":true}',
            "/var/run/secrets/v/token",
        ),
    ],
)
def test_subpath_token_never_refreshes_fires(mount, added, says):
    found = findings(pod(app(mount=mount)))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT703", "warning", "certain")
    ]
    assert "up to a year" in found[0].message
    assert found[0].fix is not None
    assert says in found[0].fix.summary
    assert added in commands(found[0])[0]


def test_subpath_token_never_refreshes_fires_with_nothing_to_add_over_the_usual_mount():
    found = findings(pod(app(mount=by_sub_path(f"{DEFAULT}/token"))))
    assert [one.code for one in found] == ["SAT703"]
    gone = f'"volumeMounts":[{{"mountPath":"{DEFAULT}/token","$patch":"delete"}}]'
    assert gone in commands(found[0])[0]


def test_subpath_token_never_refreshes_fires_by_its_own_lifetime_and_as_a_hint_for_a_job():
    volume = FULL.replace("3607", "600").replace("path: token", "path: a/token")
    text = pod(app(mount=by_sub_path("/run/tokens", "a")), volume=volume)
    finding = the(findings(text), "SAT703")
    assert "expires after 10m" in finding.message
    finding = the(
        findings(text.replace("  volumes", "  restartPolicy: Never\n  volumes")), "SAT703"
    )
    assert finding.severity == "hint"


@pytest.mark.parametrize(
    ("mount", "volume"),
    [
        (AT_DEFAULT, FULL),
        (by_sub_path("/etc/ca.crt", "ca.crt"), FULL),
        (by_sub_path("/x", "tok"), FULL),
        (by_sub_path("/x"), "{name: v, secret: {secretName: s}}"),
        (by_sub_path("/x"), "{name: v, emptyDir: {}}"),
    ],
)
def test_subpath_token_never_refreshes_quiet(mount, volume):
    assert "SAT703" not in codes(pod(app(mount=mount), volume=volume) + SECRET)


# --- SAT704


FROM_SECRET = "env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: token}}}]"


def test_token_in_env_fires():
    found = findings(pod(app(FROM_SECRET)) + SECRET)
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT704", "warning", "certain")
    ]
    (command,) = commands(found[0])
    assert '"env":[{"name":"TOKEN","$patch":"delete"}]' in command
    assert "automount" not in command


def test_token_in_env_fires_with_a_fix_that_also_switches_automounting_on():
    text = pod(f"name: app, {FROM_SECRET}", spec="  automountServiceAccountToken: false")
    (command,) = commands(the(findings(text + SECRET), "SAT704"))
    assert '"automountServiceAccountToken":true' in command


def test_token_in_env_fires_by_the_name_where_secrets_cannot_be_seen():
    text = pod(app(FROM_SECRET.replace("name: s,", "name: web-token-x7k2p,")))
    found, _ = examined(text, unseen=("Secret",))
    assert the(found, "SAT704").certainty == "likely"


def test_token_in_env_is_skipped_where_nothing_tells():
    found, skipped = examined(pod(app(FROM_SECRET)), unseen=("Secret",))
    assert "SAT704" not in [one.code for one in found]
    assert ("SAT704", "secret s") in skipped


def test_token_in_env_quiet():
    other = SECRET.replace("kubernetes.io/service-account-token", "Opaque")
    assert codes(pod(app(FROM_SECRET)) + other) == []
    assert codes(pod(app(FROM_SECRET.replace("key: token", "key: password"))) + SECRET) == []
    assert "SAT704" not in codes(pod(app(FROM_SECRET)))  # it is gone: SAT203


# --- SAT705


def leaving(when: str, more: str = "") -> str:
    return f', uid: p, deletionTimestamp: "2026-11-22T{when}Z"{more}'


HELD = ", finalizers: [example.com/hold]"


def test_rotation_stops_when_terminating_fires():
    found = findings(pod(app(), metadata=leaving("11:58:00", HELD)))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT705", "error", "certain")
    ]
    assert "refuses its tokens since then" in found[0].message
    assert commands(found[0]) == (
        'kubectl -n shop patch pod x --type=merge -p \'{"metadata":{"finalizers":null}}\'',
    )


def test_rotation_stops_when_terminating_fires_without_a_finalizer_when_it_is_late():
    found = findings(pod(app(), metadata=leaving("11:58:00")))
    (command,) = commands(the(found, "SAT705"))
    assert command.startswith("kubectl -n shop delete pod x --force")


def test_rotation_stops_when_terminating_fires_as_a_warning_in_the_last_minute():
    found = findings(pod(app(), metadata=leaving("11:59:30", HELD)))
    assert [(one.code, one.severity) for one in found] == [("SAT705", "warning")]


def test_rotation_stops_when_terminating_fires_where_the_pod_may_take_longer_than_its_token():
    text = pod(
        app(),
        volume=FULL.replace("3607", "600"),
        spec="  terminationGracePeriodSeconds: 3600",
    )
    found = findings(text)
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT705", "warning", "likely")
    ]
    assert '"expirationSeconds":18000' in commands(found[0])[0]


ENDED = "{containerStatuses: [{name: app, state: {terminated: {exitCode: 0}}}]}"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(pod(app(), metadata=leaving("12:00:30", HELD)), id="in its grace period"),
        pytest.param(pod(app(), metadata=leaving("11:59:50")), id="a few seconds late"),
        pytest.param(
            pod(app(), metadata=leaving("11:00:00", HELD), status=ENDED), id="nothing runs"
        ),
        pytest.param(pod(app(), spec="  terminationGracePeriodSeconds: 7200"), id="a year"),
        pytest.param(
            pod(
                app(),
                volume=FULL.replace("3607", "7200"),
                spec="  terminationGracePeriodSeconds: 3600",
            ),
            id="a token that lives longer",
        ),
    ],
)
def test_rotation_stops_when_terminating_quiet(text):
    assert codes(text) == []
