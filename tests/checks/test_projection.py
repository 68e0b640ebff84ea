"""The projected volume asks for its token in a way that gives none, or another than was meant."""

import pytest
import yaml

from kubectl_satoken.checks import examine
from kubectl_satoken.manifests import ManifestWorld, parse
from kubectl_satoken.targets import admitted

from .given import codes, commands, findings, the

DEFAULT = "/var/run/secrets/kubernetes.io/serviceaccount"
CA = "{configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}"
NAMESPACE = "{downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}}"


def token(more: str = "", path: str = "token") -> str:
    return f"{{serviceAccountToken: {{path: '{path}'{more}}}}}"


def pod(
    *sources: str,
    where: str = DEFAULT,
    metadata: str = "name: x",
    status: str = "",
    mount: str = "v",
) -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{{metadata}, namespace: shop}}
spec:
  containers:
  - {{name: app, image: app, volumeMounts: [{{name: {mount}, mountPath: {where}}}]}}
  volumes:
  - {{name: v, projected: {{sources: [{", ".join(sources)}]}}}}
  - {{name: other, emptyDir: {{}}}}
{status}
"""


REST = (CA, NAMESPACE)
LIVE = "name: x, uid: p"
VAULT = token(", audience: vault")


def deployment(*sources: str) -> str:
    """The same pod as the template of a Deployment."""
    spec = yaml.safe_load(pod(*sources))["spec"]
    return yaml.safe_dump(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": spec}},
        }
    )


def applied(command: str) -> dict:
    """The manifest that a command applies."""
    head, _, rest = command.partition("<<'EOF'\n")
    assert head.split()[:2] == ["kubectl", "apply"] or head.split()[:2] == ["kubectl", "create"]
    return dict(yaml.safe_load(rest.removesuffix("EOF")))


def sources_of(item: dict) -> list:
    spec = item["spec"] if item["kind"] == "Pod" else item["spec"]["template"]["spec"]
    return list(spec["volumes"][0]["projected"]["sources"])


def on_paper(text: str) -> tuple:
    """The findings on a manifest's template, and its world."""
    from kubectl_satoken.workloads import template_pod

    world = ManifestWorld(parse(text, "test"), "shop", 0)
    (item,) = (one for one in world.objects() if one["kind"] in ("Pod", "Deployment"))
    subject = template_pod(item) if item["kind"] == "Deployment" else item
    assert subject is not None
    return examine(admitted(subject, world), world)[0], world


# --- SAT401


@pytest.mark.parametrize(
    ("asked", "given"), [(60, 600), (0, 600), (-5, 600), (599, 600), (2**32 + 1, 2**32)]
)
def test_projection_expiration_out_of_range_fires(asked, given):
    found = findings(pod(token(f", expirationSeconds: {asked}"), *REST))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT401", "error", "certain")
    ]
    (source, *_) = sources_of(applied(commands(found[0])[0]))
    assert source["serviceAccountToken"]["expirationSeconds"] == given


def test_projection_expiration_out_of_range_fires_and_applies_the_whole_workload():
    found, _ = on_paper(deployment(token(", expirationSeconds: 60"), *REST))
    mended = applied(commands(the(found, "SAT401"))[0])
    assert mended["kind"] == "Deployment"
    # what the API server would have added is not in it
    spec = mended["spec"]["template"]["spec"]
    assert [volume["name"] for volume in spec["volumes"]] == ["v", "other"]
    assert "serviceAccountName" not in spec


def test_projection_expiration_out_of_range_fires_on_a_pod_whose_name_is_generated():
    text = pod(token(", expirationSeconds: 60"), *REST, metadata="generateName: x-")
    (command,) = commands(the(findings(text), "SAT401"))
    assert command.startswith("kubectl create -f -")
    assert applied(command)["metadata"] == {"generateName": "x-", "namespace": "shop"}


@pytest.mark.parametrize("more", ["", ", expirationSeconds: 600", f", expirationSeconds: {2**32}"])
def test_projection_expiration_out_of_range_quiet(more):
    assert codes(pod(token(more), *REST)) == []


# --- SAT402


@pytest.mark.parametrize(
    ("path", "why", "given"),
    [
        ("", "is needed", "token"),
        (f"{DEFAULT}/token", "must be a relative path", "token"),
        ("../token", "must not contain '..'", "token"),
        ("a/../b", "must not contain '..'", "b"),
        ("..token", "must not start with '..'", "token"),
        ("/", "must be a relative path", "token"),
    ],
)
def test_projection_bad_path_fires(path, why, given):
    finding = the(findings(pod(token(path=path), *REST)), "SAT402")
    assert (finding.severity, finding.certainty) == ("error", "certain")
    assert finding.message.endswith(f"the path of its token {why}")
    (source, *_) = sources_of(applied(commands(finding)[0]))
    assert source["serviceAccountToken"]["path"] == given


def test_projection_bad_path_fires_with_a_name_that_is_free():
    found = findings(pod(token(), token(", audience: vault", path="/token"), *REST))
    sources = sources_of(applied(commands(the(found, "SAT402"))[0]))
    assert sources[1]["serviceAccountToken"]["path"] == "other-token"


@pytest.mark.parametrize("path", ["token", "a/token", "a..b", ".token"])
def test_projection_bad_path_quiet(path):
    assert "SAT402" not in codes(pod(token(path=path), *REST))


# --- SAT403


def test_projection_duplicate_path_fires():
    found = findings(pod(token(), VAULT, *REST))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT403", "error", "certain"),
        ("SAT304", "error", "likely"),
    ]
    assert "the token for vault takes the place of the token for the API server" in (
        found[0].message
    )
    (command,) = commands(found[0])
    assert (
        '"sources":[{"serviceAccountToken":{"path":"token"}},'
        '{"serviceAccountToken":{"path":"vault-token","audience":"vault"}},' in command
    )


def test_projection_duplicate_path_fires_as_a_warning_where_the_api_token_stays():
    found = findings(pod(VAULT, token(), *REST))
    assert [(one.code, one.severity) for one in found] == [("SAT403", "warning")]
    (command,) = commands(found[0])
    assert '{"serviceAccountToken":{"path":"vault-token","audience":"vault"}}' in command
    found = findings(pod(token(), VAULT, where="/tokens"))
    assert ("SAT403", "warning") in [(one.code, one.severity) for one in found]


def test_projection_duplicate_path_fires_on_a_key_of_another_object():
    other = "{configMap: {name: c, items: [{key: a, path: ./token}]}}"
    finding = the(findings(pod(token(), *REST, other)), "SAT403")
    assert finding.severity == "error"
    (command,) = commands(finding)
    assert '{"key":"a","path":"c-token"}' in command


SECRET = """---
apiVersion: v1
kind: Secret
metadata: {name: legacy, namespace: shop}
type: TYPE
data: {token: eA==}
"""


def test_projection_duplicate_path_fires_on_a_token_secret():
    text = pod(token(), *REST, "{secret: {name: legacy}}")
    secret = SECRET.replace("TYPE", "kubernetes.io/service-account-token")
    secret = secret.replace("namespace: shop}", "namespace: shop, annotations: "
                            "{kubernetes.io/service-account.name: default}}")  # fmt: skip
    finding = the(findings(text + secret), "SAT403")
    assert finding.severity == "warning"
    (command,) = commands(finding)
    # the Secret's file cannot be renamed, so it comes first
    assert command.index('"secret":') < command.index('"serviceAccountToken":')
    assert "SAT403" not in codes(text + SECRET.replace("TYPE", "Opaque"))


def test_projection_duplicate_path_quiet():
    assert codes(pod(token(), token(", audience: vault", path="vault"), *REST)) == []
    assert codes(pod(token(), token(", expirationSeconds: 7200"), *REST)) == []
    # nobody mounts it, so nobody makes it
    assert "SAT403" not in codes(pod(token(), VAULT, *REST, where="/x", mount="other"))


# --- SAT404


def test_projection_unknown_field_audiences_fires():
    found = findings(pod(token(", audiences: [vault]"), where="/tokens"))
    finding = the(found, "SAT404")
    assert (finding.severity, finding.certainty) == ("error", "certain")
    (source,) = sources_of(applied(commands(finding)[0]))
    assert source["serviceAccountToken"] == {"path": "token", "audience": "vault"}


@pytest.mark.parametrize(
    ("more", "result"),
    [
        (
            ", audiences: [vault, 'https://a.example/b']",
            [
                {"path": "token", "audience": "vault"},
                {"path": "a.example-b-token", "audience": "https://a.example/b"},
            ],
        ),
        (", audiences: vault", [{"path": "token", "audience": "vault"}]),
        (", audiences: []", [{"path": "token"}]),
        (", audiences: null", [{"path": "token"}]),
        (", audience: a, audiences: [b]", [{"path": "token", "audience": "a"}]),
    ],
)
def test_projection_unknown_field_audiences_fires_whatever_was_written(more, result):
    finding = the(findings(pod(token(more), where="/tokens")), "SAT404")
    sources = sources_of(applied(commands(finding)[0]))
    assert [source["serviceAccountToken"] for source in sources] == result


def test_projection_unknown_field_audiences_quiet():
    assert "SAT404" not in codes(pod(VAULT, where="/tokens"))


def test_projection_unknown_field_audiences_fires_with_a_fix_for_all_that_is_refused():
    text = pod(
        token(", expirationSeconds: 60, audiences: [vault, x]", path="/token"), where="/tokens"
    )
    found = findings(text)
    for code in ("SAT401", "SAT402", "SAT404"):
        sources = sources_of(applied(commands(the(found, code))[0]))
        assert [source["serviceAccountToken"] for source in sources] == [
            {"path": "token", "expirationSeconds": 600, "audience": "vault"},
            {"path": "x-token", "expirationSeconds": 600, "audience": "x"},
        ]


# --- SAT405


def ended(span: str = "2026-11-22T11:01:30Z", code: int = 1) -> str:
    return f"""status:
  containerStatuses:
  - name: app
    lastState: {{terminated: {{exitCode: {code}, startedAt: "2026-11-22T10:00:00Z",
                               finishedAt: "{span}"}}}}"""


def test_extension_not_active_fires():
    found = findings(pod(token(), *REST, metadata=LIVE, status=ended()))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT405", "hint", "possible")
    ]
    assert "container app ended after 1h" in found[0].message
    (command,) = commands(found[0])
    assert '{"serviceAccountToken":{"path":"token","expirationSeconds":3607}}' in command
    assert '"path":"ca.crt"' in command


@pytest.mark.parametrize(
    ("source", "status"),
    [
        (token(), ""),
        (token(", expirationSeconds: 3607"), ended()),
        (token(", expirationSeconds: 86400"), ended()),
        (token(), ended(code=0)),
        (token(), ended("2026-11-22T10:10:00Z")),
        (token(), ended("2026-11-22T11:59:00Z")),
        (token(), ended("nonsense")),
    ],
)
def test_extension_not_active_quiet(source, status):
    assert codes(pod(source, *REST, metadata=LIVE, status=status)) == []


def test_extension_not_active_quiet_on_a_token_for_somebody_else():
    assert "SAT405" not in codes(pod(VAULT, metadata=LIVE, where="/tokens", status=ended()))
