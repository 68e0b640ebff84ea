"""The token is not where the container looks."""

import pytest

from .given import codes, commands, examined, findings, the

DEFAULT = "/var/run/secrets/kubernetes.io/serviceaccount"


def pod(mounts: str, volumes: str, *, automount: str = "true", extra: str = "") -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: x, namespace: shop}}
spec:
  automountServiceAccountToken: {automount}
  containers:
  - name: app
    image: app
    volumeMounts: [{mounts}]
{extra}
  volumes: [{volumes}]
"""


TOKEN = "{name: v, projected: {sources: [{serviceAccountToken: {path: token}}]}}"
VAULT = "{name: v, projected: {sources: [{serviceAccountToken: {path: token, audience: vault}}]}}"
OURS = VAULT.replace("vault", "https://issuer.example")
CA = "{configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}"
NAMESPACE = "{downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}}"
FULL = TOKEN.replace("]}}", f", {CA}, {NAMESPACE}]}}}}")
AT_DEFAULT = f"{{name: v, mountPath: {DEFAULT}}}"
ELSEWHERE = "{name: v, mountPath: /tokens}"
SIDECAR = "  - {name: sidecar, image: sidecar}"


@pytest.mark.parametrize(
    "volume",
    [
        "{name: v, emptyDir: {}}",
        "{name: v, configMap: {name: some}}",
        "{name: v, projected: {sources: [{configMap: {name: some}}]}}",
        "{name: v, secret: {secretName: opaque}}",
    ],
)
def test_mount_path_shadowed_fires(volume):
    opaque = (
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: opaque, namespace: shop}\n"
        "type: Opaque\ndata: {password: eA==}\n"
    )
    found = findings(pod(AT_DEFAULT, volume) + opaque)
    assert [finding.code for finding in found] == ["SAT301"]
    assert found[0].severity == "error"


@pytest.mark.parametrize(
    ("volume", "certainty"),
    [
        ("{name: v, configMap: {name: some}}", "certain"),
        ("{name: v, emptyDir: {}}", "certain"),
        ("{name: v, hostPath: {path: /tokens}}", "likely"),
        ("{name: v, csi: {driver: secrets-store.csi.k8s.io}}", "likely"),
    ],
)
def test_mount_path_shadowed_fires_as_surely_as_the_volume_can_be_seen_into(volume, certainty):
    assert the(findings(pod(AT_DEFAULT, volume)), "SAT301").certainty == certainty


def test_mount_path_shadowed_fires_less_surely_where_another_container_may_fill_the_volume():
    filler = "  - {name: filler, image: x, volumeMounts: [{name: v, mountPath: /out}]}"
    finding = the(findings(pod(AT_DEFAULT, "{name: v, emptyDir: {}}", extra=filler)), "SAT301")
    assert finding.certainty == "likely"


def test_mount_path_shadowed_fires_as_a_warning_where_other_containers_have_a_token():
    finding = the(findings(pod(AT_DEFAULT, "{name: v, emptyDir: {}}", extra=SIDECAR)), "SAT301")
    assert finding.severity == "warning"
    assert "container app has no token" in finding.message


def test_mount_path_shadowed_fires_with_a_fix_that_names_the_mount_by_its_path():
    (command,) = commands(the(findings(pod(AT_DEFAULT, "{name: v, emptyDir: {}}")), "SAT301"))
    assert (
        '{"spec":{"containers":[{"name":"app","volumeMounts":'
        f'[{{"mountPath":"{DEFAULT}","$patch":"delete"}}]}}],"nodeName":null}}}}' in command
    )


def test_mount_path_shadowed_fires_with_a_fix_that_also_switches_automounting_on():
    text = pod(AT_DEFAULT, "{name: v, emptyDir: {}}", automount="false")
    (command,) = commands(the(findings(text), "SAT301"))
    assert '"automountServiceAccountToken":true' in command


@pytest.mark.parametrize(
    ("mounts", "volumes"),
    [
        pytest.param(AT_DEFAULT, TOKEN, id="a token of one's own"),
        pytest.param(ELSEWHERE, "{name: v, emptyDir: {}}", id="another place"),
        pytest.param(AT_DEFAULT, VAULT, id="a token for another audience is SAT304"),
        pytest.param(
            AT_DEFAULT, "{name: v, secret: {secretName: gone}}", id="a missing Secret is SAT203"
        ),
    ],
)
def test_mount_path_shadowed_quiet(mounts, volumes):
    assert "SAT301" not in codes(pod(mounts, volumes))


def test_container_not_mounting_token_fires():
    found = findings(pod("", TOKEN, automount="false"))
    assert [finding.code for finding in found] == ["SAT302"]
    (command,) = commands(found[0])
    assert f'"volumeMounts":[{{"name":"v","mountPath":"{DEFAULT}","readOnly":true}}]' in command


def test_container_not_mounting_token_fires_as_a_hint_where_another_mounts_it():
    found = findings(pod(AT_DEFAULT, FULL, automount="false", extra=SIDECAR))
    assert [(finding.code, finding.severity) for finding in found] == [("SAT302", "hint")]
    assert "container sidecar has no token" in found[0].message


def test_container_not_mounting_token_quiet_for_the_proxy_of_a_mesh():
    proxy = """  - name: proxy
    image: proxy
    volumeMounts: [{name: identity, mountPath: /var/run/secrets/tokens}]"""
    identity = VAULT.replace("name: v", "name: identity")
    assert codes(pod(AT_DEFAULT, f"{FULL}, {identity}", automount="false", extra=proxy)) == []


def test_container_not_mounting_token_quiet():
    assert codes(pod(AT_DEFAULT, FULL, automount="false")) == []
    # the API server adds a mount of its own beside an unmounted volume
    assert codes(pod("", TOKEN)) == []
    assert codes(pod("", VAULT)) == []


def test_token_at_custom_path_fires():
    found = findings(pod(ELSEWHERE, TOKEN, automount="false"))
    assert [(finding.code, finding.certainty) for finding in found] == [("SAT303", "likely")]
    assert "/tokens/token" in found[0].message


@pytest.mark.parametrize(
    "told",
    [
        "    args: [--token-file=/tokens/token]",
        "    command: [agent, /tokens/token]",
        "    env: [{name: TOKEN_PATH, value: /tokens/token}]",
    ],
)
def test_token_at_custom_path_quiet_where_the_program_is_told(told):
    assert codes(pod(ELSEWHERE, TOKEN, automount="false", extra=told)) == []


def test_token_at_custom_path_quiet_where_the_default_is_there_too():
    assert codes(pod(ELSEWHERE, TOKEN)) == []


def test_projected_foreign_audience_used_for_api_fires():
    found = findings(pod(AT_DEFAULT, VAULT))
    assert [(finding.code, finding.certainty) for finding in found] == [("SAT304", "likely")]
    (command,) = commands(found[0])
    assert '"projected":{"sources":[{"serviceAccountToken":{"path":"token"}},' in command
    # what client libraries need beside the token comes with it
    assert '"path":"ca.crt"' in command
    assert '"path":"namespace"' in command


def test_projected_foreign_audience_used_for_api_fires_as_a_guess_where_the_issuer_is_not_known():
    found, _ = examined(pod(AT_DEFAULT, OURS), issuer=False)
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT304", "hint", "possible")
    ]


def test_projected_foreign_audience_used_for_api_quiet():
    assert codes(pod(AT_DEFAULT, OURS)) == []  # the API server's own, spelt out
    assert codes(pod(ELSEWHERE, VAULT)) == []  # a token for Vault at a place of its own


FLAGS = """
---
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver-a, namespace: kube-system, labels: {component: kube-apiserver}}
spec:
  containers:
  - {name: kube-apiserver, image: x, command: [kube-apiserver,
     "--service-account-issuer=https://issuer.example", "--api-audiences=AUDIENCES"]}
"""


def test_projected_foreign_audience_used_for_api_fires_for_certain_where_the_flags_are_seen():
    flags = FLAGS.replace("AUDIENCES", "https://issuer.example,api")
    finding = the(findings(pod(AT_DEFAULT, VAULT) + flags), "SAT304")
    assert finding.certainty == "certain"


def test_projected_foreign_audience_used_for_api_quiet_where_a_flag_takes_it():
    flags = FLAGS.replace("AUDIENCES", "https://issuer.example,vault")
    assert "SAT304" not in codes(pod(AT_DEFAULT, VAULT) + flags)


def test_projected_foreign_audience_used_for_api_quiet_where_the_token_lies_on_top():
    # the API server mounts its own over it
    assert "SAT304" not in codes(pod(f"{{name: v, mountPath: {DEFAULT}/}}", VAULT))


def live(text: str, status: str = "", metadata: str = "") -> str:
    """The same pod as an API server has stored it."""
    text = text.replace("namespace: shop}", f"namespace: shop, uid: p{metadata}}}", 1)
    return text + (f"status: {status}\n" if status else "")


# --- SAT306


@pytest.mark.parametrize("path", [f"{DEFAULT}/", DEFAULT.removeprefix("/var")])
def test_duplicate_mount_alias_fires(path):
    found = findings(pod(f"{{name: v, mountPath: {path}}}", "{name: v, configMap: {name: c}}"))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT306", "warning", "certain")
    ]
    assert "volume v cannot be seen" in found[0].message
    (command,) = commands(found[0])
    assert f'"volumeMounts":[{{"mountPath":"{path}","$patch":"delete"}}]' in command


def test_duplicate_mount_alias_fires_as_a_hint_where_both_bring_a_token():
    found = findings(pod(f"{{name: v, mountPath: {DEFAULT}/}}", FULL))
    assert [(one.code, one.severity) for one in found] == [("SAT306", "hint")]
    (command,) = commands(found[0])
    assert f'{{"name":"v","mountPath":"{DEFAULT}"}}' in command


def test_duplicate_mount_alias_quiet():
    alias = f"{{name: v, mountPath: {DEFAULT.removeprefix('/var')}}}"
    assert codes(pod(alias, FULL, automount="false")) == []
    assert codes(pod(f"{{name: v, mountPath: {DEFAULT}}}, {alias}", FULL)) == []
    assert codes(pod(f"{{name: v, mountPath: {DEFAULT}/more}}", "{name: v, emptyDir: {}}")) == []


def test_duplicate_mount_alias_quiet_on_windows_where_run_is_no_alias():
    alias = f"{{name: v, mountPath: {DEFAULT.removeprefix('/var')}}}"
    volume = "{name: v, configMap: {name: c}}"
    assert codes(pod(alias, volume, extra="  os: {name: windows}")) == []


# --- SAT307


FAKE = "{name: kube-api-access-cache, emptyDir: {}}"


def test_fake_kube_api_access_volume_fires():
    found = findings(pod("", FAKE))
    assert [(one.code, one.severity) for one in found] == [("SAT307", "error")]
    (command,) = commands(found[0])
    assert '"volumes":[{"name":"kube-api-access-cache","$patch":"delete"}]' in command


def test_fake_kube_api_access_volume_fires_with_a_new_name_where_it_has_another_use():
    mount = "{name: kube-api-access-cache, mountPath: /cache}"
    (command,) = commands(the(findings(pod(mount, FAKE)), "SAT307"))
    assert '{"emptyDir":{},"name":"cache"}' in command.replace(
        '{"name":"cache","emptyDir":{}}', '{"emptyDir":{},"name":"cache"}'
    )
    assert '{"mountPath":"/cache","name":"cache"}' in command


def test_fake_kube_api_access_volume_quiet():
    assert "SAT307" not in codes(pod("", FULL.replace("name: v,", "name: kube-api-access-mine,")))
    assert "SAT307" not in codes(pod(AT_DEFAULT, "{name: v, emptyDir: {}}"))
    assert codes(pod("{name: kube-api-access-cache, mountPath: /cache}", FAKE, automount="false")
    ) == ["SAT101"]  # fmt: skip


# --- SAT308


COPIED = FULL.replace("name: v,", "name: kube-api-access-x7k2p,")


def test_copied_pod_spec_fires():
    found = findings(pod(f"{{name: kube-api-access-x7k2p, mountPath: {DEFAULT}}}", COPIED))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT308", "warning", "certain")
    ]
    (command,) = commands(found[0])
    assert '"volumes":[{"name":"kube-api-access-x7k2p","$patch":"delete"}]' in command
    assert f'"volumeMounts":[{{"mountPath":"{DEFAULT}","$patch":"delete"}}]' in command


SECRET = """---
apiVersion: v1
kind: Secret
metadata: {name: default-token-x7k2p, namespace: shop}
type: kubernetes.io/service-account-token
data: {token: eA==}
"""


def test_copied_pod_spec_fires_on_a_secret_that_was_generated_for_another():
    text = pod(AT_DEFAULT, "{name: v, secret: {secretName: default-token-x7k2p}}") + SECRET
    assert the(findings(text), "SAT308").certainty == "certain"
    assert the(findings(live(text)), "SAT308").certainty == "likely"


def test_copied_pod_spec_quiet():
    # the API server's own, and a Secret that is not there (SAT203)
    mount = f"{{name: kube-api-access-x7k2p, mountPath: {DEFAULT}}}"
    assert codes(live(pod(mount, COPIED))) == []
    text = pod(AT_DEFAULT, "{name: v, secret: {secretName: default-token-x7k2p}}")
    assert codes(text) == ["SAT203"]
    assert codes(pod(ELSEWHERE, "{name: v, secret: {secretName: github-token-x7k2p}}")) == [
        "SAT203"
    ]


# --- SAT309


INJECTED = pod(
    f"{{name: kube-api-access-x7k2p, mountPath: {DEFAULT}}}",
    COPIED,
    extra="  ephemeralContainers: [{name: debugger-1, image: 'busybox:1'MOUNTS}]",
)


def test_ephemeral_container_no_token_fires():
    found = findings(live(INJECTED.replace("MOUNTS", "")))
    assert [(one.code, one.severity) for one in found] == [("SAT309", "hint")]
    (command,) = commands(found[0])
    assert command.startswith("kubectl -n shop debug x --container=debugger-token")
    assert '{"name":"kube-api-access-x7k2p"' in command


def test_ephemeral_container_no_token_quiet():
    mount = f", volumeMounts: [{{name: kube-api-access-x7k2p, mountPath: {DEFAULT}}}]"
    assert codes(live(INJECTED.replace("MOUNTS", mount))) == []
    ended = "{ephemeralContainerStatuses: [{name: debugger-1, state: {terminated: {}}}]}"
    ended = ended.replace("{terminated: {}}", "{terminated: {exitCode: 0}}")
    assert codes(live(INJECTED.replace("MOUNTS", ""), ended)) == []
    assert codes(live(pod(f"{{name: kube-api-access-x7k2p, mountPath: {DEFAULT}}}", COPIED))) == []


# --- SAT310


@pytest.mark.parametrize(
    ("volume", "severity", "lacking"),
    [
        (TOKEN, "warning", "no ca.crt and no namespace"),
        (TOKEN.replace("]}}", f", {CA}]}}}}"), "hint", "no namespace"),
        (TOKEN.replace("]}}", f", {NAMESPACE}]}}}}"), "warning", "no ca.crt"),
        (FULL.replace("path: token", "path: jwt"), "error", "no token"),
        (
            TOKEN.replace("]}}", ", {configMap: {name: empty}}]}}"),
            "warning",
            "no ca.crt and no namespace",
        ),
    ],
)
def test_manual_volume_missing_ca_or_namespace_fires(volume, severity, lacking):
    found = findings(pod(AT_DEFAULT, volume))
    assert [(one.code, one.severity) for one in found] == [("SAT310", severity)]
    assert f"brings {lacking} to" in found[0].message
    (command,) = commands(found[0])
    for path in ("token", "ca.crt", "namespace"):
        assert f'"path":"{path}"' in command


CONFIG = """---
apiVersion: v1
kind: ConfigMap
metadata: {name: both, namespace: shop}
data: {ca.crt: x, namespace: shop}
"""


@pytest.mark.parametrize(
    "volume",
    [
        FULL,
        VAULT,
        TOKEN.replace("]}}", ", {configMap: {name: both}}]}}"),
        TOKEN.replace("]}}", ", {secret: {name: both}}]}}"),
        FULL.replace("{configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}",
                     "{clusterTrustBundle: {name: x, path: ca.crt}}"),
    ],
)  # fmt: skip
def test_manual_volume_missing_ca_or_namespace_quiet(volume):
    assert "SAT310" not in codes(pod(AT_DEFAULT, volume) + CONFIG)


def test_manual_volume_missing_ca_or_namespace_quiet_elsewhere_and_where_a_file_is_mounted():
    assert "SAT310" not in codes(pod(ELSEWHERE, TOKEN))
    mounts = (
        f"{AT_DEFAULT}, {{name: c, mountPath: {DEFAULT}/ca.crt, subPath: ca.crt}}, "
        f"{{name: c, mountPath: {DEFAULT}/namespace, subPath: namespace}}"
    )
    assert codes(pod(mounts, f"{TOKEN}, {{name: c, configMap: {{name: both}}}}") + CONFIG) == []


# --- SAT311


WINDOWS = "  os: {name: windows}"
BELOW_RUN = f"{{name: v, mountPath: {DEFAULT.removeprefix('/var')}}}"


@pytest.mark.parametrize("extra", [WINDOWS, "  nodeSelector: {kubernetes.io/os: windows}"])
def test_windows_paths_fires(extra):
    found = findings(pod(BELOW_RUN, FULL, automount="false", extra=extra))
    assert [(one.code, one.severity) for one in found] == [("SAT311", "hint")]
    (command,) = commands(found[0])
    assert f'{{"name":"v","mountPath":"{DEFAULT}"}}' in command


def test_windows_paths_quiet():
    assert codes(pod(BELOW_RUN, FULL, automount="false")) == []  # Linux has the link
    assert codes(pod(BELOW_RUN, FULL, extra=WINDOWS)) == []  # the token is there, too
    assert codes(pod("", FULL, extra=WINDOWS)) == []
    native = "C:" + DEFAULT.replace("/", "\\")
    mount = f"{{name: v, mountPath: '{native}'}}"
    assert codes(pod(mount, FULL, automount="false", extra=WINDOWS)) == []


# --- SAT312


@pytest.mark.parametrize(
    ("mount", "volume", "certainty", "change"),
    [
        (
            "mountPath: /var/run/secrets, readOnly: true",
            "emptyDir: {}",
            "certain",
            '{"mountPath":"/var/run/secrets","readOnly":false}',
        ),
        (
            "mountPath: /run/secrets",
            "configMap: {name: c}",
            "likely",
            '{"name":"v","mountPath":"/var/run/secrets"}',
        ),
        (
            "mountPath: /run",
            "secret: {secretName: c}",
            "likely",
            '{"name":"v","mountPath":"/var/run"}',
        ),
        (
            "mountPath: /var/run/secrets, readOnly: true",
            "persistentVolumeClaim: {claimName: c}",
            "likely",
            '{"name":"v","mountPath":"/mnt/v","readOnly":true}',
        ),
        (
            "mountPath: /var/run, readOnly: true",
            "hostPath: {path: /run}",
            "possible",
            '{"name":"v","mountPath":"/mnt/v","readOnly":true}',
        ),
        (
            "mountPath: /var/run/secrets",
            "csi: {driver: x, readOnly: true}",
            "likely",
            '{"name":"v","mountPath":"/mnt/v"}',
        ),
    ],
)
def test_readonly_parent_mount_fires(mount, volume, certainty, change):
    secret = "---\n{apiVersion: v1, kind: Secret, metadata: {name: c, namespace: shop}}\n"
    found = findings(pod(f"{{name: v, {mount}}}", f"{{name: v, {volume}}}") + secret)
    assert [(one.code, one.certainty) for one in found] == [("SAT312", certainty)]
    (command,) = commands(found[0])
    assert change in command.replace(
        '"mountPath":"/mnt/v","name":"v"', '"name":"v","mountPath":"/mnt/v"'
    )


STUCK = (
    "{containerStatuses: [{name: app, state: {waiting: {reason: RunContainerError, message: "
    '"mkdirat /run/secrets/kubernetes.io: read-only file system"}}}]}'
)


def test_readonly_parent_mount_fires_for_certain_where_the_runtime_says_so():
    text = pod(
        f"{{name: v, mountPath: /run/secrets}}, {{name: t, mountPath: {DEFAULT}}}",
        f"{{name: v, configMap: {{name: c}}}}, {FULL.replace('name: v', 'name: t')}",
    )
    assert the(findings(live(text)), "SAT312").certainty == "likely"
    assert the(findings(live(text, STUCK)), "SAT312").certainty == "certain"


@pytest.mark.parametrize(
    ("mount", "volume"),
    [
        ("mountPath: /var/run/secrets", "configMap: {name: c}"),
        ("mountPath: /var/run/secrets, readOnly: true", "configMap: {name: c}"),
        ("mountPath: /var/run/secrets", "emptyDir: {}"),
        ("mountPath: /run/secrets", "emptyDir: {}"),
        ("mountPath: /var/run/secrets/other, readOnly: true", "emptyDir: {}"),
        ("mountPath: /var/run/sec, readOnly: true", "emptyDir: {}"),
        ("mountPath: /var/run/docker.sock, readOnly: true", "hostPath: {path: /x}"),
    ],
)
def test_readonly_parent_mount_quiet(mount, volume):
    assert codes(pod(f"{{name: v, {mount}}}", f"{{name: v, {volume}}}")) == []


def test_readonly_parent_mount_quiet_where_the_folder_is_made_by_another_container():
    other = "  initContainers: [{name: i, image: i, volumeMounts: [{name: v, mountPath: PATH}]}]"
    text = pod(
        "{name: v, mountPath: /var/run/secrets, readOnly: true}",
        "{name: v, emptyDir: {}}",
        extra=other,
    )
    assert codes(text.replace("PATH", "/var/run/secrets")) == []
    assert the(findings(text.replace("PATH", "/out")), "SAT312").certainty == "likely"


def test_readonly_parent_mount_quiet_where_the_container_has_run():
    text = pod(
        f"{{name: v, mountPath: /run/secrets}}, {{name: t, mountPath: {DEFAULT}}}",
        f"{{name: v, configMap: {{name: c}}}}, {FULL.replace('name: v', 'name: t')}",
    )
    ran = "{containerStatuses: [{name: app, state: {running: {startedAt: x}}}]}"
    assert codes(live(text, ran)) == []
    assert codes(live(text)) == ["SAT312"]
