"""Who keeps an object as it is: a change by anybody else is taken back, or comes back to haunt.

Told by the labels and annotations that these tools write, by the owner, and by the managers of the
fields.
"""

from typing import NamedTuple

from .managed_fields import writers
from .token_secrets import LAST_APPLIED
from .workloads import controller_of
from .world import Object


class Keeper(NamedTuple):
    """Who keeps an object, in words, and where a change belongs instead."""

    who: str
    where: str


# Labels and annotations, the most telling first: Flux and Argo CD run Helm as well. ``{}`` is the
# value.
MARKS = (
    ("helm.toolkit.fluxcd.io/name", "Flux (HelmRelease {})", "the values of HelmRelease {} in git"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux (Kustomization {})", "the manifest in git"),
    ("argocd.argoproj.io/tracking-id", "Argo CD", "the manifest in git"),
    ("argocd.argoproj.io/instance", "Argo CD (application {})", "the manifest in git"),
    (
        "meta.helm.sh/release-name",
        "Helm (release {})",
        "the chart or its values",
    ),
    ("olm.owner", "the operator {} (OLM)", "what the operator {} makes it from"),
    ("olm.managed", "OLM", "what OLM makes it from"),
    ("objectset.rio.cattle.io/id", "Rancher Fleet", "the manifest in git"),
    ("fleet.cattle.io/bundle-id", "Rancher Fleet (bundle {})", "the manifest in git"),
    ("configmanagement.gke.io/managed", "Config Sync", "the manifest in git"),
    ("kapp.k14s.io/app", "kapp", "the manifest, then kapp deploy"),
    ("addonmanager.kubernetes.io/mode", "the addon manager", "the addon's manifest"),
    ("pulumi.com/autonamed", "Pulumi", "the program, then pulumi up"),
    ("app.kubernetes.io/managed-by", "{}", "what {} makes it from"),
)

# Values of app.kubernetes.io/managed-by that name no tool that would come back by itself.
BY_HAND = ("kubectl", "kubectl-satoken", "kustomize", "manual", "none", "")

# Words in the names of field managers that are no person's tool.
ROBOTS = ("controller", "operator", "-manager", "helm", "terraform", "pulumi", "argocd", "flux")
# Those of Kubernetes' own, which write only what a rollout or a person asks for.
OWN_ROBOTS = ("kube-controller-manager", "kube-scheduler", "kubelet")


def keeper_of(item: Object, *field: str) -> Keeper | None:
    """Who keeps an object, or one of its fields (as in fieldsV1), as it is; None for a person."""
    metadata = item["metadata"]
    owner = controller_of(item)
    if owner is not None:
        name = f"{owner['kind'].lower()}/{owner['name']}"
        return Keeper(name, name)
    marks = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
    for key, who, where in MARKS:
        value = str(marks.get(key) or "")
        by_hand = key == "app.kubernetes.io/managed-by" and value.lower() in BY_HAND
        if key in marks and not by_hand:
            return Keeper(who.format(value), where.format(value))
    return robot_of(item, *field) if field else None


def robot_of(item: Object, *field: str) -> Keeper | None:
    """The tool that has set a field (as in fieldsV1), and would do so again; None for a person."""
    for manager in writers(item, *field):
        lower = manager.lower()
        if manager not in OWN_ROBOTS and any(word in lower for word in ROBOTS):
            return Keeper(manager, f"what {manager} makes it from")
    return None


def is_applied(item: Object) -> bool:
    """Whether a person keeps the manifest of an object in a file, by kubectl apply."""
    return LAST_APPLIED in (item["metadata"].get("annotations") or {}) or any(
        entry.get("manager") == "kubectl" and entry.get("operation") == "Apply"
        for entry in item["metadata"].get("managedFields") or []
    )
