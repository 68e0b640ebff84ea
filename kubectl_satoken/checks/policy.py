"""A policy engine or webhook took the token out of the pod.

The admission of service accounts comes before webhooks and policies, so a policy that sets
``automountServiceAccountToken: false`` on a pod leaves the token where it is. What strips tokens
acts on workloads and service accounts, where it looks like anybody's flag, or takes the volume out
of pods.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from ..admission import TOKEN_VOLUME_PREFIX, should_automount
from ..fixes import patch_pod
from ..managed_fields import writers
from ..selectors import selects
from ..server import version_of
from ..workloads import is_live, template_path
from ..world import Object, Unseen, World
from . import Evidence, Finding, at, check
from .creation import mount_by_hand

# Names of managers and webhooks by which policy engines are known.
ENGINES = (
    "kyverno",
    "gatekeeper",
    "azure-policy",
    "kubewarden",
    "jspolicy",
    "polaris",
    "open-policy-agent",
    "opa",
)

# Where Kyverno writes down what it has changed in an object.
KYVERNO_PATCHES = "policies.kyverno.io/last-applied-patches"

# Kyverno's policies about tokens, by the names that they are published under, and the label that
# exempts a pod where there is one.
KYVERNO_POLICIES = {
    "remove-serviceaccount-token": "corp.org/can-use-serviceaccount",
    "disable-automountserviceaccounttoken": "",
    "update-automountserviceaccounttokens": "",
}
KYVERNO_KINDS = (
    ("ClusterPolicy", "kyverno.io/v1"),
    ("MutatingPolicy", "policies.kyverno.io/v1"),
)


class Culprit(NamedTuple):
    """Something that changes pods: what it is called, its rules, and whether it is about tokens.

    ``label`` exempts a pod from it, where that is known.
    """

    name: str
    evidence: Evidence
    strips: bool
    label: str = ""


def engine_of(manager: str) -> str:
    """The policy engine that goes by a manager's name; empty for any other."""
    words = manager.lower().replace("_", "-")
    for engine in ENGINES:
        if engine in words.split("-") or (len(engine) > 3 and engine in words):
            return engine
    return ""


def flag_managers(item: Object) -> Iterator[str]:
    """The managers that have set an object's automount flag."""
    path = [f"f:{part}" for part in template_path(item)]
    if item.get("kind") != "ServiceAccount":
        path.append("f:spec")
    return writers(item, *path, "f:automountServiceAccountToken")


def set_by_engine(item: Object | None) -> Evidence | None:
    """What shows that a policy engine has set an object's automount flag."""
    if item is None:
        return None
    for manager in flag_managers(item):
        if engine_of(manager):
            return at(item, "metadata.managedFields[*].manager", manager)
    patches = str((item["metadata"].get("annotations") or {}).get(KYVERNO_PATCHES) or "")
    for line in patches.splitlines():
        if "automountServiceAccountToken" in line:
            return at(item, f"metadata.annotations[{KYVERNO_PATCHES}]", line.strip())
    return None


# How the rules of webhooks and policies name pods.
PODS = ("pods", "*", "*/*", "pods/*")


def covers(rules: object, names: Collection[str]) -> bool:
    """Whether rules of a webhook or policy cover that one of these core resources is created."""
    for rule in rules if isinstance(rules, list) else []:
        groups = rule.get("apiGroups") or []
        operations = rule.get("operations") or []
        resources = rule.get("resources") or []
        if (
            ("" in groups or "*" in groups)
            and ("CREATE" in operations or "*" in operations)
            and not set(resources).isdisjoint(names)
        ):
            return True
    return False


def reaches(scope: Object, pod: Object, world: World) -> bool:
    """Whether the selectors of a webhook or policy let it see a pod; yes where not known."""
    if not selects(scope.get("objectSelector") or {}, pod["metadata"].get("labels") or {}):
        return False
    if not scope.get("namespaceSelector"):
        return True
    try:
        namespace = world.get("Namespace", "", pod["metadata"].get("namespace", ""))
    except Unseen:
        return True
    labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    return selects(scope["namespaceSelector"], labels)


def about_tokens(text: str) -> bool:
    """Whether what a policy does has to do with token volumes."""
    return any(
        word in text
        for word in (
            TOKEN_VOLUME_PREFIX,
            "automountServiceAccountToken",
            "serviceAccountToken",
            "serviceaccount/token",
        )
    )


def culprits(pod: Object, world: World) -> Iterator[Culprit]:
    """What changes pods such as this one when they are made. Raises Unseen, maybe at the end."""
    patches = str((pod["metadata"].get("annotations") or {}).get(KYVERNO_PATCHES) or "")
    for line in patches.splitlines():
        if "/spec/volumes" in line or "automountServiceAccountToken" in line:
            # rule.policy.kyverno.io: removed /spec/volumes/0
            rule = line.partition(".kyverno.io")[0].partition(":")[0]
            name = rule.rpartition(".")[2]
            evidence = at(pod, f"metadata.annotations[{KYVERNO_PATCHES}]", line.strip())
            label = KYVERNO_POLICIES.get(name, "")
            yield Culprit(f"Kyverno policy {name}", evidence, True, label)
    unseen: Unseen | None = None
    for find in (admission_policies, webhooks):
        try:
            yield from find(pod, world)
        except Unseen as error:
            unseen = error
    if unseen is not None:
        raise unseen


def admission_policies(pod: Object, world: World) -> Iterator[Culprit]:
    """The MutatingAdmissionPolicies that are bound so that they change the pod."""
    import json

    version = version_of(world)
    if version is not None and version < (1, 36):
        return  # not served yet
    for item in world.list("MutatingAdmissionPolicy"):
        spec, name = item.get("spec") or {}, item["metadata"]["name"]
        constraints = spec.get("matchConstraints") or {}
        if not covers(constraints.get("resourceRules"), PODS):
            continue
        if not reaches(constraints, pod, world):
            continue
        text = json.dumps([spec.get("mutations"), spec.get("variables")])
        for binding in world.list("MutatingAdmissionPolicyBinding"):
            bound = binding.get("spec") or {}
            if bound.get("policyName") != name:
                continue
            if not reaches(bound.get("matchResources") or {}, pod, world):
                continue
            evidence = at(item, "spec.matchConstraints.resourceRules", "covers pods")
            yield Culprit(f"MutatingAdmissionPolicy {name}", evidence, about_tokens(text))
            break


def webhooks(pod: Object, world: World) -> Iterator[Culprit]:
    """The mutating webhooks that see the pod, and Kyverno's policies where one of them is its."""
    kyverno = False
    for item in world.list("MutatingWebhookConfiguration"):
        for index, webhook in enumerate(item.get("webhooks") or []):
            if not covers(webhook.get("rules"), PODS) or not reaches(webhook, pod, world):
                continue
            kyverno = kyverno or "kyverno" in item["metadata"]["name"]
            name = str(webhook.get("name") or "")
            strips = about_tokens(name) or "automount" in name
            yield Culprit(f"webhook {name}", at(item, f"webhooks[{index}].rules", name), strips)
    if not kyverno:
        return
    for name, label in KYVERNO_POLICIES.items():
        for kind, version in KYVERNO_KINDS:
            try:
                policy = world.get(kind, "", name, version)
            except Unseen:
                continue
            if policy is not None:
                evidence = Evidence(kind, "", name, "spec", "is about tokens")
                yield Culprit(f"Kyverno policy {name}", evidence, True, label)


def strippers(pod: Object, world: World) -> list[Culprit]:
    """Those that are seen to be about tokens."""
    found: list[Culprit] = []
    try:
        for culprit in culprits(pod, world):
            if culprit.strips:
                found.append(culprit)
    except Unseen:
        pass  # what came before it counts
    return found


@check("SAT110", on="Pod", severity="error", stage="mount", deliberate=True)
def token_stripped_by_policy(pod: Object, world: World) -> Iterator[Finding]:
    """A policy or webhook took the token out of the pod when it was made.

    ### What goes wrong

    By the flags of pod and service account a token is to be mounted, and the API server did add the
    volume; but a mutating webhook or policy that comes after took it out again (Kyverno's
    `remove-serviceaccount-token` does). Making the pod anew does not help. A policy that only sets
    `automountServiceAccountToken: false` on pods comes too late and changes nothing.

    ### How to fix it

    Have the workload exempted from the policy, or mount the token by a projected volume of your
    own: policies take out the volume that the API server adds (`kube-api-access-…`).
    """
    from .automount import account_flag, bare_containers, changed_since, no_mount

    if not is_live(pod):
        return
    names = bare_containers(pod, world)
    if not names or not pod["spec"].get("serviceAccountName"):
        return
    account, flag = account_flag(pod, world)
    if account is None or not should_automount(account, pod):
        return
    asked = pod["spec"].get("automountServiceAccountToken") is True
    if not asked and changed_since(pod, account):
        return  # SAT103 knows why
    found: list[Culprit] = []
    unsure: Unseen | None = None
    try:
        for culprit in culprits(pod, world):
            found.append(culprit)
    except Unseen as unseen:
        unsure = unseen
    strips = [culprit for culprit in found if culprit.strips]
    if not strips and not asked:
        if unsure is not None:
            raise unsure
        return
    named = strips or found
    here = at(pod, "spec.volumes", "no token", here=True)
    flags = (at(pod, "spec.automountServiceAccountToken", True),) if asked else (flag,)
    who = " and ".join(dict.fromkeys(culprit.name for culprit in strips[:2]))
    exempt = next((culprit.label for culprit in strips if culprit.label), "")
    yield Finding(
        "the token was taken out of the pod when it was made"
        + (f": {who} does that" if strips else ", by a webhook or policy"),
        here,
        (*flags, here, *(culprit.evidence for culprit in named[:5]), *no_mount(pod, names)),
        patch_pod(
            pod,
            world,
            mount_by_hand(pod, names),
            "mount it by a volume of your own, which such policies leave alone"
            + (f" (or label the pods {exempt}, which exempts them)" if exempt else ""),
        ),
        # whoever asks for a token by name does not mean to have it taken out
        severity="error" if asked else "",
        certainty="likely",
    )
    if unsure is not None:
        raise unsure
