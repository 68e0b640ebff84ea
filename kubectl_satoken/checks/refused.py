"""The pods of a workload are refused: what the controllers say, who it was, and what pleases them.

The controllers tell it by their events FailedCreate; DENIALS names who refused.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ..events import CONTROLLER_PATIENCE, about, is_fresh, last_seen, newest
from ..fixes import dumps, kubectl, patch_pod, restart
from ..mounts import account_of, containers
from ..workloads import Owner, creators, is_live, owner_of
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .mount import grouped

if TYPE_CHECKING:
    import re

REVISION = "deployment.kubernetes.io/revision"

# What other checks know better: the account is not there (SAT104, SAT112), has no Secret (SAT115),
# or may not use one (SAT113).
OTHERS = (
    "error looking up service account",
    "No API token found for service account",
    "does not reference that",
)


def lacks_pods(workload: Object) -> bool:
    """Whether a workload has fewer pods, or fewer of its present template, than it wants."""
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    kind = workload.get("kind")
    if kind == "CronJob":
        return bool(status.get("active"))
    if kind == "Job":
        ended = any(
            condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
            for condition in status.get("conditions") or []
        )
        return not ended and not spec.get("suspend") and not status.get("active")
    if kind == "DaemonSet":
        wanted = status.get("desiredNumberScheduled") or 0
        return bool(wanted > (status.get("currentNumberScheduled") or 0))
    wanted = spec.get("replicas", 1)
    if not isinstance(wanted, int):
        return False
    if (
        kind == "StatefulSet"
        and spec.get("podManagementPolicy") != "Parallel"
        and (status.get("readyReplicas") or 0) < (status.get("replicas") or 0)
    ):
        return False  # it makes the next only when all before are ready
    have = status.get("updatedReplicas" if kind == "Deployment" else "replicas") or 0
    return bool(wanted > have)


def makers(workload: Object, world: World) -> Iterator[Object]:
    """The objects that make a workload's pods now: of a Deployment only its present ReplicaSet."""
    revision = (workload["metadata"].get("annotations") or {}).get(REVISION)
    for item in creators(workload, world):
        own = (item["metadata"].get("annotations") or {}).get(REVISION)
        if item is workload or workload["kind"] != "Deployment" or own == revision:
            yield item


def refused(pod: Object, world: World) -> Evidence | None:
    """The last word of a controller that cannot make the pods of a template; None if it can.

    Only while pods are lacking, and nothing was made since.
    """
    if is_live(pod):
        return None
    owner = owner_of(pod, world)
    if owner is None or owner.object is None or not owner.object["metadata"].get("uid"):
        return None
    if not lacks_pods(owner.object):
        return None
    return refused_by_event(owner.object, world) or refused_by_condition(owner)


def refused_by_event(workload: Object, world: World) -> Evidence | None:
    """The newest event FailedCreate of who makes the pods, unless one was made after it."""
    found: list[tuple[str, Evidence]] = []
    namespace = workload["metadata"].get("namespace", "")
    for maker in makers(workload, world):
        metadata = maker["metadata"]
        events = [
            event
            for event in world.events(namespace, metadata["name"])
            if event.get("reason") in ("FailedCreate", "SuccessfulCreate")
            and about(event, metadata.get("uid", ""))
        ]
        for event in newest(events)[:1]:
            if event["reason"] == "FailedCreate" and is_fresh(event, world, CONTROLLER_PATIENCE):
                message = str(event.get("message") or "")
                evidence = at(maker, "event FailedCreate", message, here=True)
                found.append((last_seen(event), evidence))
    return max(found, default=("", None), key=lambda item: item[0])[1]


def refused_by_condition(owner: Owner) -> Evidence | None:
    """The condition ReplicaFailure, by which ReplicaSets and Deployments say the same."""
    workload = owner.object or {}
    for number, condition in enumerate((workload.get("status") or {}).get("conditions") or []):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            path = f"status.conditions[{number}].message"
            return at(workload, path, str(condition.get("message") or ""), here=True)
    return None


@check("SAT115", on="Pod", severity="error", stage="creation")
def old_admission_needs_secret(pod: Object, world: World) -> Iterator[Finding]:
    """The API server waits for a token Secret that nobody makes.

    ### What goes wrong

    An API server of 1.20 or older, or one with a feature switched off, mounts tokens from Secrets
    and refuses pods until the service account has one: `No API token found for service account
    "NAME", retry after the token is automatically created and added to the service account`. The
    token controller of kube-controller-manager makes it; here it does not.

    ### How to fix it

    Get kube-controller-manager going, with `--service-account-private-key-file`, and bring the
    cluster to a version in which no Secret is needed.
    """
    word = refused(pod, world)
    if word is None or "No API token found for service account" not in word.value:
        return
    name = account_of(pod)
    account = Evidence("ServiceAccount", word.namespace, name, "secrets", "has no token Secret")
    jsonpath = "jsonpath={.secrets[*].name}"
    yield Finding(
        f"no pod can be made: the API server wants a token Secret for serviceaccount {name}, and "
        "kube-controller-manager makes none",
        word,
        (word, account),
        Fix(
            "have kube-controller-manager's token controller mended "
            "(--service-account-private-key-file); this shows the Secret when it is there",
            (
                kubectl(world, word.namespace, "get", "serviceaccount", name, "-o", jsonpath),
                *restart(pod, world),
            ),
        ),
    )


class Denial(NamedTuple):
    """Who refuses pods: the pattern of its words, what it is called, and what mends it."""

    pattern: str
    who: str
    mend: str


# Each with the name of a function below that makes the fix. The first that matches counts.
DENIALS = (
    Denial(r'admission webhook "(?P<name>[^"]+)" denied the request', "webhook", "webhook"),
    Denial(r'failed calling webhook "(?P<name>[^"]+)"', "webhook", "webhook_down"),
    Denial(r'violates PodSecurity "(?P<name>[^"]+)": (?P<what>.*)', "Pod Security", "security"),
    Denial(
        r"exceeded quota: (?P<name>[^,]+), requested: (?P<asked>.*?), used: (?P<used>.*?), "
        r"limited: (?P<hard>.*)",
        "resourcequota",
        "quota",
    ),
    Denial(r"failed quota: (?P<name>[^:]+): must specify", "resourcequota", "quota_unspecified"),
    Denial(r"in namespace (?P<name>\S+) because it is being terminated", "namespace", "ending"),
    Denial(
        r"ValidatingAdmissionPolicy '(?P<name>[^']+)'( with binding '[^']+')? denied request",
        "validatingadmissionpolicy",
        "policy",
    ),
    Denial(
        r"unable to validate against any security context constraint(?P<name>)",
        "the admission of security context constraints",
        "constraints",
    ),
    Denial(
        r"(?P<name>)(maximum|minimum) \S+ usage per (Container|Pod)", "limitrange", "limit_range"
    ),
    Denial(r"(?P<name>)is forbidden: ", "admission", "anything"),
)


@check("SAT116", on="Pod", severity="error", stage="creation")
def admission_denied_as_403(pod: Object, world: World) -> Iterator[Finding]:
    """The pods are refused, by a webhook, a policy or a quota.

    ### What goes wrong

    The controller may not make the pods: the API server answers 403 Forbidden, and that is no
    question of rights. An admission webhook, a ValidatingAdmissionPolicy, the Pod Security of the
    namespace, a quota, a limit range or a security context constraint says no, or the namespace is
    being deleted. The last event FailedCreate has its words.

    ### How to fix it

    Change what is objected to, or who objects. Controllers try again by themselves, after ever
    longer pauses; a restart of the rollout makes them try at once.
    """
    import re

    word = refused(pod, world)
    if word is None or any(text in word.value for text in OTHERS):
        return
    for denial in DENIALS:
        match = re.search(denial.pattern, word.value, re.DOTALL)
        if match is None:
            continue
        name = match["name"]
        fix, more = MENDS[denial.mend](pod, world, match)
        who = f"{denial.who} {name}" if name else denial.who
        yield Finding(
            f"no pod can be made: {who} "
            + (
                "does not answer"
                if denial.mend == "webhook_down"
                else "is being deleted"
                if denial.mend == "ending"
                else "refuses them"
            ),
            word,
            (word, *more),
            fix,
        )
        return


Mended = tuple[Fix, list[Evidence]]


def again(pod: Object, world: World) -> tuple[str, ...]:
    """The commands that make the controller try at once."""
    return tuple(restart(pod, world))


def namespace_of(pod: Object) -> str:
    """The namespace of a pod."""
    return str(pod["metadata"].get("namespace", ""))


def webhook_object(name: str, world: World) -> tuple[Object, int] | None:
    """The configuration that has the webhook of that name, and its place there; None if unseen."""
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        try:
            for item in world.list(kind):
                for index, webhook in enumerate(item.get("webhooks") or []):
                    if webhook.get("name") == name:
                        return item, index
        except Unseen:
            continue
    return None


def show_webhook(name: str, world: World) -> tuple[str, list[Evidence]]:
    """The command that shows a webhook's configuration, and the evidence for it."""
    found = webhook_object(name, world)
    if found is None:
        kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations"
        return kubectl(world, "", "get", kinds, "-o", "wide"), []
    item, index = found
    shown = kubectl(world, "", "get", item["kind"].lower(), item["metadata"]["name"], "-o", "yaml")
    return shown, [at(item, f"webhooks[{index}].name", name)]


def mend_webhook(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """A webhook says no: only its own words tell what would please it."""
    line, evidence = show_webhook(match["name"], world)
    return Fix(
        "change what it objects to (its words are above), or have its owner let these pods pass; "
        "this shows what it looks at",
        (line, *again(pod, world)),
    ), evidence


def mend_webhook_down(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """A webhook cannot be reached: its service and pods are the place to look."""
    line, evidence = show_webhook(match["name"], world)
    lines = [line]
    found = webhook_object(match["name"], world)
    if found is not None:
        item, index = found
        service = (item["webhooks"][index].get("clientConfig") or {}).get("service") or {}
        if service:
            path = f"webhooks[{index}].clientConfig.service"
            where = str(service.get("namespace") or "")
            evidence.append(at(item, path, f"{where}/{service.get('name')}"))
            selector = f"kubernetes.io/service-name={service.get('name')}"
            lines.append(kubectl(world, where, "get", "pods,endpointslices", "-l", selector))
    return Fix(
        "get the webhook's service going; this shows it, and whether any pod stands behind it",
        (*lines, *again(pod, world)),
    ), evidence


# What the level "restricted" asks of a pod that can be given to any, by the words of its check.
RESTRICTED: dict[str, Object] = {
    "allowPrivilegeEscalation != false": {"allowPrivilegeEscalation": False},
    "unrestricted capabilities": {"capabilities": {"drop": ["ALL"]}},
    "runAsNonRoot != true": {"runAsNonRoot": True},
    "seccompProfile": {"seccompProfile": {"type": "RuntimeDefault"}},
}


def mend_security(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """Pod Security says no: what it wants can be set where that forbids nothing in particular."""
    import re

    namespace = namespace_of(pod)
    label = Evidence(
        "Namespace", "", namespace, "metadata.labels[pod-security.kubernetes.io/enforce]",
        match["name"],
    )  # fmt: skip
    # each objection is its name, then details in brackets
    parts = re.sub(r"\([^()]*(\([^()]*\)[^()]*)*\)", "", match["what"])
    objections = [part.strip() for part in parts.split(",") if part.strip()]
    wanted: Object = {}
    for objection in objections:
        change = RESTRICTED.get(objection)
        if change is None:
            line = kubectl(
                world, "", "get", "namespace", namespace, "-o", "jsonpath={.metadata.labels}"
            )
            return Fix(
                f"take out of the pod template what it objects to ({', '.join(objections)}), or "
                "have the namespace's level changed; this shows it",
                (line, *again(pod, world)),
            ), [label]
        wanted |= change
    patch = grouped(pod, {item["name"]: {"securityContext": wanted} for item in containers(pod)})
    return patch_pod(
        pod, world, patch, "give the containers what it asks for (the program must bear it)"
    ), [label]


def mend_quota(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """A quota is used up: it can be raised by what is asked, where that is counted in units."""
    namespace = namespace_of(pod)
    name = match["name"]
    asked, used = (amounts(match[part]) for part in ("asked", "used"))
    evidence = [Evidence("ResourceQuota", namespace, name, "spec.hard", match["hard"])]
    hard: dict[str, str] = {}
    for resource, amount in asked.items():
        if not amount.isdigit() or not used.get(resource, "").isdigit():
            return Fix(
                "free some of it, or have the quota raised; this shows what is used",
                (kubectl(world, namespace, "describe", "resourcequota", name), *again(pod, world)),
            ), evidence
        hard[resource] = str(int(amount) + int(used[resource]))
    line = kubectl(
        world, namespace, "patch", "resourcequota", name, "-p", dumps({"spec": {"hard": hard}})
    )
    return Fix(
        "raise the quota by what is asked, or free some of it", (line, *again(pod, world))
    ), evidence


def amounts(text: str) -> dict[str, str]:
    """The amounts of a quota's words: ``pods=1,limits.cpu=2``."""
    pairs = (part.partition("=") for part in text.split(","))
    return {name.strip(): value.strip() for name, _, value in pairs}


def mend_quota_unspecified(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """A quota wants every container to say what it uses."""
    namespace, name = namespace_of(pod), match["name"]
    return Fix(
        "give the containers the requests and limits that it counts (or have a LimitRange do it); "
        "this shows them",
        (kubectl(world, namespace, "describe", "resourcequota", name), *again(pod, world)),
    ), [Evidence("ResourceQuota", namespace, name, "", "is there")]


def mend_ending(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """The namespace is being deleted: nothing can be made there any more."""
    namespace = namespace_of(pod)
    path = 'jsonpath={range .status.conditions[*]}{.type}: {.message}{"\\n"}{end}'
    return Fix(
        "deploy it elsewhere, or again when the namespace is gone; this shows what holds it up",
        (kubectl(world, "", "get", "namespace", namespace, "-o", path),),
    ), [Evidence("Namespace", "", namespace, "status.phase", "Terminating")]


def mend_policy(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """A ValidatingAdmissionPolicy says no."""
    name = match["name"]
    line = kubectl(world, "", "get", "validatingadmissionpolicy", name, "-o", "yaml")
    return Fix(
        "change what it objects to (its words are above), or have its owner let these pods pass; "
        "this shows what it asks for",
        (line, *again(pod, world)),
    ), [Evidence("ValidatingAdmissionPolicy", "", name, "", "denies them")]


def mend_constraints(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """OpenShift's constraints fit none: the account may use no other."""
    namespace, name = namespace_of(pod), account_of(pod)
    review = f"system:serviceaccount:{namespace}:{name}"
    lines = [
        kubectl(
            world, namespace, "auth", "can-i", "use", f"securitycontextconstraints/{one}", "--as",
            review,
        )
        for one in ("restricted-v2", "nonroot-v2", "anyuid")
    ]  # fmt: skip
    return Fix(
        "ask for less in the pod template, or have the service account allowed to use a constraint "
        "that fits; this shows which of the usual ones it may use",
        (*lines, *again(pod, world)),
    ), [Evidence("ServiceAccount", namespace, name, "", "the constraints are looked up for it")]


def mend_limit_range(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """A LimitRange allows less, or wants more."""
    namespace = namespace_of(pod)
    return Fix(
        "set requests and limits within the range; this shows it",
        (kubectl(world, namespace, "describe", "limitrange"), *again(pod, world)),
    ), []


def mend_anything(pod: Object, world: World, match: "re.Match[str]") -> Mended:
    """Something else says no; a dry run of the same pod gets the same answer."""
    owner = owner_of(pod, world)
    if owner is None:
        return Fix("see its words above"), []
    line = kubectl(world, namespace_of(pod), "describe", f"{owner.resource}/{owner.name}")
    return Fix("change what it objects to (its words are above)", (line, *again(pod, world))), []


MENDS = {
    "webhook": mend_webhook,
    "webhook_down": mend_webhook_down,
    "security": mend_security,
    "quota": mend_quota,
    "quota_unspecified": mend_quota_unspecified,
    "ending": mend_ending,
    "policy": mend_policy,
    "constraints": mend_constraints,
    "limit_range": mend_limit_range,
    "anything": mend_anything,
}
