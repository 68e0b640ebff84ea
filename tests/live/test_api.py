"""The transport and discovery against a real API server, with kubectl beside them."""

import io
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubectl_satoken import cluster as transport
from kubectl_satoken import discovery, errors
from kubectl_satoken.env import Env
from kubectl_satoken.kubeconfig import Impersonation, Overrides, load
from kubectl_satoken.world import KINDS, Sealed


def kubectl(kubeconfig: Any, *arguments: str, stdin: Any = None, check: bool = True) -> Any:
    """Runs the real kubectl. ``stdin`` is an object to give it as JSON."""
    return subprocess.run(
        ["kubectl", "--kubeconfig", str(kubeconfig), *arguments],
        input=None if stdin is None else json.dumps(stdin),
        capture_output=True,
        text=True,
        check=check,
    )


def connect(
    kubeconfig: Any, verbosity: int = 0, environ: Any = None, **fields: Any
) -> transport.Api:
    """An Api for a kubeconfig; ``api.env.stderr.getvalue()`` is what it said."""
    env = Env(stderr=io.StringIO(), environ={"KUBECONFIG": str(kubeconfig), **(environ or {})})
    return transport.connect(load(Overrides(), env)._replace(**fields), env, verbosity)


def heard(api: transport.Api) -> str:
    stderr = api.env.stderr
    assert isinstance(stderr, io.StringIO)
    return stderr.getvalue()


def crossing(api: transport.Api) -> list[bytes]:
    """The bodies of all answers that the Api gets from now on, whoever asks."""
    bodies: list[bytes] = []
    send = api.send

    def record(*arguments: Any) -> transport.Answer:
        answer = send(*arguments)
        bodies.append(answer.body)
        return answer

    api.send = record  # type: ignore[method-assign]
    return bodies


@pytest.fixture
def namespace(cluster: Any) -> Iterator[str]:
    """A namespace of its own, with the account that every namespace gets in a moment."""
    name = f"api-{uuid.uuid4().hex[:8]}"
    kubectl(cluster.kubeconfig, "create", "namespace", name)
    account = ("serviceaccount/default", "-n", name, "--timeout=60s")
    kubectl(cluster.kubeconfig, "wait", "--for=create", *account)
    yield name
    kubectl(cluster.kubeconfig, "delete", "namespace", name, "--wait=false")


@pytest.fixture
def api(cluster: Any) -> transport.Api:
    return connect(cluster.kubeconfig)


def path(kind: str, namespace: str, name: str = "", subresource: str = "") -> str:
    return transport.path_of(KINDS[kind], namespace, name, subresource)


# --- reading and writing --------------------------------------------------------------------------


def test_pages_are_the_list_that_kubectl_has(
    cluster: Any, api: transport.Api, namespace: str
) -> None:
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"m-{number}"}}
        for number in range(520)
    ]
    listed = {"apiVersion": "v1", "kind": "List", "items": maps}
    kubectl(cluster.kubeconfig, "-n", namespace, "create", "-f", "-", stdin=listed)
    pages = list(api.pages(path("ConfigMap", namespace)))
    assert len(pages) == 2
    assert len(pages[0]["items"]) == 500
    theirs = json.loads(
        kubectl(
            *(cluster.kubeconfig, "-n", namespace, "get", "configmaps", "-o", "json"),
            "--show-managed-fields",
        ).stdout
    )
    ours = [item for page in pages for item in page["items"]]
    assert ours == [
        {key: value for key, value in item.items() if key not in ("kind", "apiVersion")}
        for item in theirs["items"]
    ]
    small = [
        item
        for page in api.pages(path("ConfigMap", namespace), limit=100)
        for item in page["items"]
    ]
    assert small == ours


def test_a_restarted_list_yields_nothing_twice(api: transport.Api, namespace: str) -> None:
    """The order of the keys is what the restart relies on: names that sort oddly keep it."""
    names = ["a", "a-b", "a.b", "a0", "b", "ab", "z-1", "z", "0", "a-b.c"]
    for name in names:
        api.request("POST", path("ConfigMap", namespace), {"metadata": {"name": name}})
    keys = [
        transport.key_of(item)
        for page in api.pages(path("ConfigMap", namespace), limit=3)
        for item in page["items"]
    ]
    assert keys == sorted(keys)
    everywhere = [
        transport.key_of(item)
        for page in api.pages(path("ConfigMap", ""))
        for item in page["items"]
    ]
    assert everywhere == sorted(everywhere)


def test_a_continue_token_that_is_wrong_is_not_an_empty_list(
    api: transport.Api, namespace: str
) -> None:
    with pytest.raises(errors.ApiError):
        api.request("GET", path("ConfigMap", namespace), query=[("continue", "x"), ("limit", "1")])


def test_errors_by_what_really_happens(api: transport.Api, namespace: str) -> None:
    accounts = path("ServiceAccount", namespace)
    account = api.request("POST", accounts, {"metadata": {"name": "web"}})
    one = f"{accounts}/web"
    with pytest.raises(errors.AlreadyExists, match='serviceaccounts "web" already exists'):
        api.request("POST", accounts, {"metadata": {"name": "web"}})
    with pytest.raises(errors.NotFound, match='serviceaccounts "nope" not found'):
        api.request("GET", f"{accounts}/nope")
    with pytest.raises(errors.NotFound, match='namespaces "nope" not found'):
        api.request("POST", path("ServiceAccount", "nope"), {"metadata": {"name": "web"}})
    with pytest.raises(errors.NotFound):
        api.request("POST", f"{accounts}/nope/token", {"spec": {}})
    with pytest.raises(errors.TooOld, match="the server does not know /apis/nope/v1/things"):
        api.request("GET", "/apis/nope/v1/things")
    with pytest.raises(errors.TooOld):
        api.request("GET", "/api/v1/nopes")
    with pytest.raises(errors.Invalid):
        api.request("POST", accounts, {"metadata": {"name": "Not A Name"}})
    with pytest.raises(errors.Conflict):
        api.request("DELETE", one, {"preconditions": {"uid": "other"}})
    stale = {**account, "metadata": {**account["metadata"], "resourceVersion": "1"}}
    with pytest.raises(errors.Conflict):
        api.request("PUT", one, stale)


@pytest.mark.parametrize(
    ("content_type", "patch"),
    [
        ("application/merge-patch+json", {"metadata": {"labels": {"a": "b"}}}),
        ("application/strategic-merge-patch+json", {"metadata": {"labels": {"a": "b"}}}),
        (
            "application/json-patch+json",
            [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}],
        ),
        (
            "application/apply-patch+yaml",
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "web", "labels": {"a": "b"}},
            },
        ),
    ],
)
def test_patches(api: transport.Api, namespace: str, content_type: str, patch: Any) -> None:
    one = path("ServiceAccount", namespace, "web")
    api.request("POST", path("ServiceAccount", namespace), {"metadata": {"name": "web"}})
    query = [("fieldManager", "satoken")] if "apply" in content_type else []
    changed = api.request("PATCH", one, patch, query, content_type=content_type)
    assert changed["metadata"]["labels"] == {"a": "b"}
    assert api.request("GET", one)["metadata"]["labels"] == {"a": "b"}


def test_a_token_request_is_not_shown(cluster: Any, namespace: str) -> None:
    api = connect(cluster.kubeconfig, verbosity=9)
    answer = api.request(
        "POST", path("ServiceAccount", namespace, "default", "token"), {"spec": {"audiences": []}}
    )
    token = answer["status"]["token"]
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
    reviewed = api.request(
        "POST", "/apis/authentication.k8s.io/v1/tokenreviews", {**review, "spec": {"token": token}}
    )
    assert reviewed["status"]["authenticated"]
    assert "/token 201 Created in " in heard(api)
    assert not [part for part in token.split(".") if part in heard(api)]


def test_warnings_are_those_of_kubectl(cluster: Any, namespace: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {
            "containers": [{"name": "a", "image": "a", "env": [{"name": "X"}, {"name": "X"}]}],
            "nodeSelector": {"beta.kubernetes.io/os": "linux"},
        },
    }
    api = connect(cluster.kubeconfig)
    for _ in range(2):
        api.request("POST", path("Pod", namespace), pod, query=[("dryRun", "All")])
    theirs = kubectl(
        cluster.kubeconfig, "-n", namespace, "create", "--dry-run=server", "-f", "-", stdin=pod
    ).stderr
    assert heard(api) == theirs
    assert theirs.count("Warning: ") == 2


# --- who we are -----------------------------------------------------------------------------------


def whoami(api: transport.Api) -> Any:
    return api.request(
        "POST",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
    )["status"]["userInfo"]


def test_impersonation_is_that_of_kubectl(cluster: Any) -> None:
    extra = {"example.com/a": ["1", "2"], "reason": ["why not, you"]}
    config = json.loads(
        kubectl(cluster.kubeconfig, "config", "view", "--raw", "--flatten", "-o", "json").stdout
    )
    config["users"][0]["user"] |= {
        "as": "jöhn",
        "as-uid": "42",
        "as-groups": ["dev", "ops, eu"],
        "as-user-extra": extra,
    }
    file = cluster.kubeconfig.parent / f"impersonating-{uuid.uuid4().hex}"
    file.write_text(json.dumps(config))
    try:
        theirs = json.loads(kubectl(file, "auth", "whoami", "-o", "json").stdout)
        ours = whoami(connect(file))
    finally:
        file.unlink()
    assert ours == theirs["status"]["userInfo"]
    assert ours["username"] == "jöhn"
    assert ours["groups"] == ["dev", "ops, eu", "system:authenticated"]
    assert ours["extra"] == extra


def test_a_user_who_may_not_impersonate(cluster: Any) -> None:
    api = connect(cluster.user("jane", ["dev"]), impersonate=Impersonation("root"))
    with pytest.raises(errors.Forbidden, match="cannot impersonate"):
        whoami(api)


def test_a_bad_token(cluster: Any) -> None:
    from kubectl_satoken.credentials import Credentials

    api = connect(cluster.kubeconfig, credentials=Credentials(Sealed("Bearer nonsense")))
    with pytest.raises(errors.Unauthorized, match="provide credentials"):
        whoami(api)


def test_another_authority(cluster: Any) -> None:
    import ssl

    other = ssl.DER_cert_to_PEM_cert(ssl.create_default_context().get_ca_certs(True)[0])
    api = connect(cluster.kubeconfig, ca=other)
    with pytest.raises(errors.Unreachable, match="certificate is signed by an unknown authority"):
        whoami(api)


# --- discovery ------------------------------------------------------------------------------------

WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.satoken.example.com"},
    "spec": {
        "group": "satoken.example.com",
        "scope": "Namespaced",
        "names": {
            "kind": "Widget",
            "plural": "widgets",
            "singular": "oneWidget".lower(),
            "shortNames": ["wd", "wdg"],
        },
        "versions": [
            {
                "name": name,
                "served": True,
                "storage": name == "v1",
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
            for name in ("v1alpha1", "v1", "v1beta2")
        ],
    },
}


@pytest.fixture
def widgets(cluster: Any) -> Iterator[None]:
    """A custom resource in three versions."""
    kubectl(cluster.kubeconfig, "apply", "-f", "-", stdin=WIDGETS)
    kubectl(
        cluster.kubeconfig, "wait", "--for=condition=Established", "crd/widgets.satoken.example.com"
    )
    for _ in range(50):  # established comes a little before discovery
        if "satoken.example.com" in kubectl(cluster.kubeconfig, "api-versions").stdout:
            break
    yield
    kubectl(cluster.kubeconfig, "delete", "-f", "-", stdin=WIDGETS)


@pytest.mark.usefixtures("widgets")
def test_resources_are_those_of_kubectl(cluster: Any, api: transport.Api) -> None:
    out = kubectl(cluster.kubeconfig, "api-resources", "--cached=false", "--no-headers").stdout
    theirs = {
        (words[-1], words[-3], words[-4], words[-2] == "true", words[1] if len(words) == 5 else "")
        for words in (line.split() for line in out.splitlines())
    }
    ours = {
        (kind.kind, kind.api_version, kind.plural, kind.namespaced, ",".join(kind.short))
        for kind in discovery.resources(api)
    }
    theirs = {
        (kind, version, plural if len(short) == 0 else plural, scoped, short)
        for kind, version, plural, scoped, short in theirs
    }
    assert {each[:2] + each[3:] for each in ours} == {each[:2] + each[3:] for each in theirs}


NAMES = [
    "deploy",
    "deployments",
    "Deployment",
    "deployment.apps",
    "deployments.v1.apps",
    "deployments.app",
    "pods.v1.",
    "sa",
    "ServiceAccount",
    "hpa",
    "events",
    "events.events.k8s.io",
    "ev",
    "csr",
    "netpol",
    "storageclass.storage",
    "crd",
    "widgets",
    "Widget",
    "widget",
    "onewidget",
    "wd",
    "wdg.satoken.example.com",
    "widgets.v1beta2.satoken.example.com",
    "widgets.satoken",
    "widgets.v1.satoken.example.com",
    "PODS",
    "nope",
    "pods.nope",
    "widgets.v2.satoken.example.com",
    "Pods",
    "podslist",
    "Widget.satoken.example.com",
    "Widget.satoken",
    "widget.v1beta2.satoken.example.com",
    "WIDGETS",
    "WD",
    "Pod.v1.",
    "Node",
    "HorizontalPodAutoscaler",
    "horizontalpodautoscalers.v1.autoscaling",
]


@pytest.mark.usefixtures("widgets")
@pytest.mark.parametrize("aggregated", [True, False], ids=["aggregated", "one by one"])
def test_names_mean_what_they_mean_to_kubectl(
    cluster: Any, aggregated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not aggregated:
        monkeypatch.setattr(discovery, "AGGREGATED", "application/json")
    api = connect(cluster.kubeconfig)
    wrong = {}
    for name in NAMES:
        # the path of kubectl's request names version and resource
        said = kubectl(cluster.kubeconfig, "get", name, "-A", "-v6", check=False).stderr
        gets = [line for line in said.splitlines() if "limit=500" in line]
        try:
            kind = discovery.find(api, name)
        except errors.UsageError as error:
            if gets or error.message not in said:
                wrong[name] = (error.message, gets or said.splitlines()[-1:])
            continue
        asked = f"{cluster.server}{transport.path_of(kind)}?limit=500"
        if not any(asked in line for line in gets):
            wrong[name] = (asked, gets or said.splitlines()[-1:])
    assert wrong == {}


@pytest.mark.usefixtures("widgets")
def test_the_cache(cluster: Any, tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def find(name: str) -> tuple[Any, int]:
        api = connect(cluster.kubeconfig, environ=environ)
        bodies = crossing(api)
        try:
            return discovery.find(api, name), len(bodies)
        except errors.UsageError:
            return None, len(bodies)

    first, asked = find("wd")
    assert asked == 2
    assert find("wd") == (first, 0)
    assert find("deploy") == (KINDS["Deployment"], 0)
    assert find("nope") == (None, 2)
    (file,) = (tmp_path / "cache" / "kubectl-satoken" / "discovery").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.write_text("{")
    assert find("wd") == (first, 2)
    assert find("wd") == (first, 0)


def test_an_api_server_that_is_down(cluster: Any) -> None:
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.down.example.com"},
        "spec": {
            "group": "down.example.com",
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": "nobody", "namespace": "default"},
        },
    }
    kubectl(cluster.kubeconfig, "apply", "-f", "-", stdin=service)
    try:
        kubectl(
            cluster.kubeconfig,
            "wait",
            "--for=condition=Available=false",
            "apiservice/v1.down.example.com",
        )
        api = connect(cluster.kubeconfig)
        for _ in range(100):
            if discovery.fetch(api).failed:
                break
        assert any(kind.kind == "Pod" for kind in discovery.resources(api))
        assert heard(api) == (
            "some resource types are not known, the server is out of down.example.com/v1\n"
        )
        assert discovery.find(api, "hpa").kind == "HorizontalPodAutoscaler"
        with pytest.raises(errors.ServerError, match="it is out of down.example.com/v1"):
            discovery.find(api, "nope")
        with pytest.raises(errors.ServerError, match="it is out of down.example.com/v1"):
            discovery.of_kind(api, "Nope", "down.example.com/v1")
        assert discovery.of_kind(api, "Nope", "apps/v1") is None
    finally:
        kubectl(cluster.kubeconfig, "delete", "apiservice", "v1.down.example.com")


# --- what is loaded -------------------------------------------------------------------------------


def test_a_request_loads_neither_models_nor_what_nobody_uses(cluster: Any) -> None:
    """Before 3.15, pydantic is loaded by the client itself; tests/live/test_startup_get.py has
    the rule for 3.15."""
    program = (
        "import sys\n"
        "from kubectl_satoken import cluster, kubeconfig\n"
        "from kubectl_satoken.env import Env\n"
        "env = Env()\n"
        "api = cluster.connect(kubeconfig.load(kubeconfig.Overrides(), env), env)\n"
        "api.request('GET', '/version')\n"
        "print(*sys.modules)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", program],
        env={"KUBECONFIG": str(cluster.kubeconfig), "PATH": "/nonexistent"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    loaded = set(out.split())
    assert "kubernetes.client.rest" in loaded
    unwanted = {"kubernetes.config.kube_config", "kubernetes.stream.ws_client", "requests"}
    assert not unwanted & loaded
    assert not [name for name in loaded if name.startswith("kubernetes.client.models.v1_pod")]
