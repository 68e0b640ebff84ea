"""Names of resource types, and the cache. tests/live/test_api.py asks kubectl, too."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from kubectl_satoken import cluster, discovery, errors
from kubectl_satoken.credentials import Credentials
from kubectl_satoken.env import Env
from kubectl_satoken.kinds import Type, match
from kubectl_satoken.kubeconfig import Target
from kubectl_satoken.world import KINDS, Kind
from tests import faults
from tests.faults import Reply, status

POD = Kind("Pod", "v1", "pods", True, ("po",))
DEPLOYMENT = Kind("Deployment", "apps/v1", "deployments", True, ("deploy",))
METRICS = Kind("PodMetrics", "metrics.k8s.io/v1beta1", "pods", True)
ROLLOUT = Kind("Rollout", "argoproj.io/v1beta1", "rollouts", True, ("ro", "deploy"))
ROLLOUT_ALPHA = ROLLOUT._replace(api_version="argoproj.io/v1alpha1")
SERVICE = Kind("Service", "serving.knative.dev/v1", "services", True, ("kservice",))
GATEWAY = Kind("Gateway", "gateway.example.com/v1", "gateways", False)
TYPES = [
    Type(POD, "pod"),
    Type(DEPLOYMENT, "deployment"),
    Type(ROLLOUT, "rollout"),
    Type(ROLLOUT_ALPHA, "rollout"),
    Type(SERVICE, "service"),
    Type(METRICS, "pod"),
    Type(GATEWAY, "gw"),
]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("pods", POD),
        ("pod", POD),
        ("po", POD),
        ("Pod", POD),
        ("PODS", POD),
        ("pods.v1.", POD),
        ("pods.metrics.k8s.io", METRICS),
        ("pods.metrics", METRICS),
        ("pods.v1beta1.metrics.k8s.io", METRICS),
        ("PodMetrics", None),
        ("PodMetrics.metrics.k8s.io", METRICS),
        ("PodMetrics.metrics", None),
        ("deploy", DEPLOYMENT),
        ("deploy.argoproj.io", ROLLOUT),
        ("ro", ROLLOUT),
        ("RO", None),
        ("rollouts", ROLLOUT),
        ("rollouts.argoproj.io", ROLLOUT),
        ("rollout.v1alpha1.argoproj.io", ROLLOUT_ALPHA),
        ("Rollout.v1alpha1.argoproj.io", ROLLOUT_ALPHA),
        ("rollouts.v2.argoproj.io", None),
        ("gw", GATEWAY),
        ("gateway", None),
        ("Gateway.gateway.example.com", GATEWAY),
        ("", None),
        (".", None),
        ("nope", None),
    ],
)
def test_names(text: str, kind: Kind | None) -> None:
    assert match(TYPES, text) == kind


def test_what_is_built_in_is_the_same_kind_with_and_without_discovery() -> None:
    for kind in KINDS.values():
        for text in (kind.plural, kind.kind.lower(), f"{kind.plural}.{kind.group}", *kind.short):
            assert match([Type(each, each.kind.lower()) for each in KINDS.values()], text) == kind


V2 = {
    "kind": "APIGroupDiscoveryList",
    "items": [
        {
            "metadata": {"name": "argoproj.io"},
            "versions": [
                {
                    "version": "v1beta1",
                    "freshness": "Current",
                    "resources": [
                        {
                            "resource": "rollouts",
                            "responseKind": {"group": "", "version": "", "kind": "Rollout"},
                            "scope": "Namespaced",
                            "singularResource": "rollout",
                            "verbs": ["get", "list"],
                            "shortNames": ["ro", "deploy"],
                            "subresources": [{"subresource": "scale"}],
                        },
                        {"resource": "bare", "scope": "Namespaced", "verbs": ["get"]},
                    ],
                }
            ],
        },
        {
            "metadata": {"name": "metrics.k8s.io"},
            "versions": [{"version": "v1beta1", "freshness": "Stale"}],
        },
    ],
}


def old(request: faults.Request) -> Reply:
    """The same from a server without aggregated discovery."""
    kinds = [
        {
            "name": "rollouts",
            "singularName": "",
            "namespaced": True,
            "kind": "Rollout",
            "verbs": ["get"],
            "shortNames": ["ro", "deploy"],
        },
        {"name": "rollouts/scale", "namespaced": True, "kind": "Scale", "verbs": ["get"]},
    ]
    versions = [
        {"groupVersion": f"argoproj.io/{version}", "version": version}
        for version in ("v1alpha1", "v1beta1")
    ]
    documents = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/api/v1": {"kind": "APIResourceList", "resources": []},
        "/apis": {
            "kind": "APIGroupList",
            "groups": [
                {"name": "argoproj.io", "versions": versions, "preferredVersion": versions[1]},
                {
                    "name": "metrics.k8s.io",
                    "versions": [{"groupVersion": "metrics.k8s.io/v1beta1"}],
                },
            ],
        },
        "/apis/argoproj.io/v1beta1": {"kind": "APIResourceList", "resources": kinds},
        "/apis/argoproj.io/v1alpha1": {"kind": "APIResourceList", "resources": kinds},
    }
    if request.path in documents:
        return Reply(200, documents[request.path])
    return Reply(500, status(500, "InternalError", "the server is currently unable"))


def new(request: faults.Request) -> Reply:
    return Reply(200, V2) if request.path == "/apis" else Reply(404, "404 page not found\n")


def connect(server: faults.Server, folder: Path | None = None) -> cluster.Api:
    environ = {"HOME": str(folder)} if folder else {}
    target = Target(server=server.url, credentials=Credentials())
    return cluster.connect(target, Env(stderr=io.StringIO(), environ=environ))


@pytest.mark.parametrize("answers", [new, old], ids=["aggregated", "one by one"])
def test_a_part_that_does_not_answer_is_told(answers: Any) -> None:
    with faults.serve(answers) as server:
        api = connect(server)
        assert discovery.find(api, "rollouts.argoproj.io") == ROLLOUT
        assert discovery.find(api, "ro") == ROLLOUT
        asked = len(server.requests)
        assert discovery.resources(api) == [ROLLOUT]
        assert api.env.stderr.getvalue() == (  # type: ignore[attr-defined]
            "some resource types are not known, the server is out of metrics.k8s.io/v1beta1\n"
        )
        with pytest.raises(
            errors.ServerError, match=r'"nodemetrics", but it is out of metrics\.k8s'
        ):
            discovery.find(api, "nodemetrics")
        assert discovery.of_kind(api, "Rollout") == ROLLOUT
        assert discovery.of_kind(api, "Rollout", "argoproj.io/v9") == ROLLOUT
        assert discovery.of_kind(api, "Rollout", "example.com/v1") is None
        with pytest.raises(errors.ServerError):
            discovery.of_kind(api, "PodMetrics", "metrics.k8s.io/v1beta1")
        assert len(server.requests) == asked  # what was asked a moment ago is not asked again


def test_built_in_types_cost_no_request() -> None:
    with faults.serve(Reply(500)) as server:
        api = connect(server)
        assert discovery.find(api, "deploy") == DEPLOYMENT
        assert discovery.find(api, "deployments.v1.apps") == DEPLOYMENT
        assert server.requests == []


def test_no_discovery_at_all_is_an_error() -> None:
    no = Reply(403, status(403, "Forbidden", "no"))
    with faults.serve(no) as server, pytest.raises(errors.Forbidden):
        discovery.find(connect(server), "rollouts")


def test_the_cache_is_used_for_a_while_and_damage_does_no_harm(tmp_path: Path) -> None:
    def find(text: str = "ro") -> int:
        """How many requests it took."""
        before = len(server.requests)
        if text == "nope":
            with pytest.raises(errors.ServerError):
                discovery.find(connect(server, tmp_path), text)
        else:
            assert discovery.find(connect(server, tmp_path), text) == ROLLOUT
        return len(server.requests) - before

    with faults.serve(new) as server:
        assert find() == 2
        assert find() == 0
        assert find("nope") == 2  # it may be new
        (file,) = (tmp_path / ".cache" / "kubectl-satoken" / "discovery").iterdir()
        assert file.name == f"127.0.0.1_{server.server_address[1]}.json"
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
        whole = file.read_text()
        for damaged in ("", "{", "[]", "null", '{"types": [[1]], "failed": []}', whole[:-20], "\0"):
            file.write_text(damaged)
            assert find() == 2, damaged
            assert json.loads(file.read_text()) == json.loads(whole)
        assert find() == 0
        past = file.stat().st_mtime - discovery.KEPT
        os.utime(file, (past, past))
        assert find() == 2
        os.utime(file, (2e10, 2e10))  # a clock that was wrong must not keep it for ever
        assert find() == 2


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / ".cache").write_text("a file")
    with faults.serve(new) as server:
        assert discovery.find(connect(server, tmp_path), "ro") == ROLLOUT
        assert discovery.find(connect(server), "ro") == ROLLOUT


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"HOME": "/home/me"}, "/home/me/.cache"),
        ({"HOME": "/home/me", "XDG_CACHE_HOME": "/var/cache/me"}, "/var/cache/me"),
        ({"HOME": "/home/me", "XDG_CACHE_HOME": "relative"}, "/home/me/.cache"),
        ({"HOME": "relative"}, None),
        ({}, None),
    ],
)
def test_where_the_cache_is(environ: dict[str, str], folder: str | None) -> None:
    target = Target(server="https://../k8s.example.com:6443/c1", credentials=Credentials())
    api = cluster.connect(target._replace(insecure=True), Env(environ=environ))
    file = folder and f"{folder}/kubectl-satoken/discovery/.._k8s.example.com_6443_c1.json"
    assert discovery.cache_file(api) == file
