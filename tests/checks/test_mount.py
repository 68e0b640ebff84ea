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
    found = findings(pod(AT_DEFAULT, TOKEN, automount="false", extra=SIDECAR))
    assert [(finding.code, finding.severity) for finding in found] == [("SAT302", "hint")]
    assert "container sidecar has no token" in found[0].message


def test_container_not_mounting_token_quiet():
    assert codes(pod(AT_DEFAULT, TOKEN, automount="false")) == []
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
