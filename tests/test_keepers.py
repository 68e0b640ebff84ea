"""Who keeps an object as it is, by its marks, its owner and the managers of its fields."""

from typing import Any

import pytest

from kubectl_satoken.keepers import is_applied, keeper_of, robot_of
from kubectl_satoken.world import Object

TEMPLATE = ("f:spec", "f:template")
OWNS: Object = {"f:spec": {"f:template": {"f:spec": {}}}}


def item(**metadata: Any) -> Object:
    return {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web", **metadata}}


def written_by(manager: str, fields: Any = OWNS, operation: str = "Update") -> Object:
    entry = {"manager": manager, "operation": operation, "fieldsV1": fields}
    return item(managedFields=[entry])


@pytest.mark.parametrize(
    ("metadata", "who", "where"),
    [
        (
            {"annotations": {"meta.helm.sh/release-name": "shop"}},
            "Helm (release shop)",
            "the chart or its values",
        ),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm", "what Helm makes it from"),
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}},
            "Argo CD",
            "the manifest in git",
        ),
        (
            # Flux installs it by Helm
            {
                "labels": {
                    "app.kubernetes.io/managed-by": "Helm",
                    "helm.toolkit.fluxcd.io/name": "shop",
                }
            },
            "Flux (HelmRelease shop)",
            "the values of HelmRelease shop in git",
        ),
        (
            {"labels": {"olm.owner": "etcd.v1"}},
            "the operator etcd.v1 (OLM)",
            "what the operator etcd.v1 makes it from",
        ),
        (
            {"ownerReferences": [{"kind": "Kafka", "name": "events", "controller": True}]},
            "kafka/events",
            "kafka/events",
        ),
    ],
)
def test_what_others_keep_is_told_with_the_place_to_change(
    metadata: Any, who: str, where: str
) -> None:
    assert keeper_of(item(**metadata)) == (who, where)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"labels": {"app.kubernetes.io/managed-by": "kubectl", "app": "web"}},
        {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        {"ownerReferences": [{"kind": "ConfigMap", "name": "x"}]},  # no controller
    ],
)
def test_what_a_person_keeps_is_nobodys(metadata: Any) -> None:
    assert keeper_of(item(**metadata), *TEMPLATE) is None


@pytest.mark.parametrize(
    ("manager", "kept"),
    [
        ("helm", True),
        ("shop-operator", True),
        ("kustomize-controller", True),
        ("argocd-application-controller", True),
        ("Terraform", True),
        ("kubectl-client-side-apply", False),
        ("kubectl-edit", False),
        ("kubectl-satoken", False),
        ("kube-controller-manager", False),
        ("Mozilla", False),
    ],
)
def test_who_has_written_the_template(manager: str, kept: bool) -> None:
    assert (keeper_of(written_by(manager), *TEMPLATE) is not None) is kept
    assert robot_of(written_by(manager, {"f:status": {}}), *TEMPLATE) is None


def test_a_manifest_in_a_file() -> None:
    noted = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    assert is_applied(item(annotations=noted))
    assert is_applied(written_by("kubectl", operation="Apply"))
    assert not is_applied(written_by("kubectl", operation="Update"))
    assert not is_applied(item())
