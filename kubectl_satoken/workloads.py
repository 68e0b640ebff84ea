"""Workloads: where the pod template is, who owns a pod, and which pods a workload has."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from .world import Object, Unseen, World, is_custom, known_kind

# Where the built-in kinds keep their pod template, most specific first.
TEMPLATE_PATHS: tuple[tuple[str, ...], ...] = (
    ("spec", "jobTemplate", "spec", "template"),
    ("spec", "template"),
    ("template",),
)

# What stands between a workload and its pods. Of a custom one that may be any of these, those that
# make others first.
BETWEEN = {"Deployment": ("ReplicaSet",), "CronJob": ("Job",)}
CONTROLLERS = ("Deployment", "CronJob", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")

# API groups of what is about the pods of others, and may have patterns and defaults of them in it.
NO_WORKLOADS = ("apiextensions.k8s.io", "kyverno.io", "gatekeeper.sh", "kubewarden.io")


class Owner(NamedTuple):
    """What a pod is made from, where a fix belongs.

    ``object`` is None where it could not be read (the names come from the owner reference then).
    ``path`` leads to its pod template, or to that of several which the pod is made from.
    """

    kind: str
    api_version: str
    namespace: str
    name: str
    object: Object | None
    path: tuple[str, ...] = ()

    @property
    def built_in(self) -> bool:
        """Whether it is of a kind that Kubernetes itself has."""
        return known_kind(self.kind, self.api_version) is not None

    @property
    def resource(self) -> str:
        """The resource as kubectl takes it: ``deployment``, or ``rollout.argoproj.io``."""
        group = self.api_version.rpartition("/")[0]
        kind = self.kind.lower()
        return kind if self.built_in or not group else f"{kind}.{group}"

    @property
    def template(self) -> tuple[str, ...]:
        """Where its template is, or would be if the object could be read."""
        if self.path:
            return self.path
        return TEMPLATE_PATHS[0] if self.kind == "CronJob" else TEMPLATE_PATHS[1]


def step_into(value: Any, path: tuple[str, ...]) -> Any:
    """What is at the end of a path, whose digits count the items of a list; None without it."""
    for field in path:
        if isinstance(value, list):
            value = value[int(field)] if field.isdigit() and int(field) < len(value) else None
        else:
            value = value.get(field) if isinstance(value, dict) else None
    return value


def dotted(path: tuple[str, ...]) -> str:
    """A path as people write it: ``spec.workers[0].template``."""
    steps = (f".{field}" if field.isidentifier() else f"[{field}]" for field in path)
    return "".join(steps).lstrip(".")


def is_template(value: Any) -> bool:
    """Whether a value has the shape of a pod template: a ``spec`` that has ``containers``."""
    spec = value.get("spec") if isinstance(value, dict) else None
    return isinstance(spec, dict) and isinstance(spec.get("containers"), list)


def template_paths(workload: Object) -> Iterator[tuple[str, ...]]:
    """The fields that lead to the pod templates of a workload, found by shape; none if it has none.

    Built-in kinds have one, at a place that is known. Custom ones have it at any depth, and some
    have several: for a head and for workers, say.
    """
    for path in TEMPLATE_PATHS:
        if is_template(step_into(workload, path)):
            yield path
            return
    group = str(workload.get("apiVersion")).rpartition("/")[0]
    spec = workload.get("spec")
    if not is_custom(workload) or group.endswith(NO_WORKLOADS) or not spec:
        return
    # nearest first, and nothing twice: in YAML a value may hold itself
    waiting: list[tuple[tuple[str, ...], Any]] = [(("spec",), spec)]
    seen: set[int] = set()
    for path, value in waiting:
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, list):
            waiting += [((*path, str(index)), item) for index, item in enumerate(value)]
        elif isinstance(value, dict) and not is_whole(value):
            if len(path) > 1 and is_template(value) and are_containers(value["spec"]["containers"]):
                yield path
            else:
                waiting += [
                    ((*path, key), item)
                    for key, item in value.items()
                    if isinstance(key, str) and not key.isdigit()
                ]


def is_whole(value: Object) -> bool:
    """Whether a value is an object of its own, which others carry about."""
    return isinstance(value.get("kind"), str) and isinstance(value.get("apiVersion"), str)


def are_containers(value: list[Any]) -> bool:
    """Whether the items of a list have names as containers do."""
    return bool(value) and all(
        isinstance(item, dict)
        and isinstance(item.get("name"), str)
        and item["name"].replace("-", "").isalnum()
        for item in value
    )


def template_path(workload: Object, pod: Object | None = None) -> tuple[str, ...]:
    """The fields that lead to the pod template of a workload; empty if it has none.

    Of several it is the first, or the one that is most like a pod.
    """
    paths = list(template_paths(workload))
    if len(paths) > 1 and pod is not None:
        return max(paths, key=lambda path: likeness(step_into(workload, path), pod))
    return paths[0] if paths else ()


def likeness(template: Object, pod: Object) -> tuple[bool, bool, int]:
    """How much a pod looks as if made from a template: by containers, labels and other fields."""
    labels = pod["metadata"].get("labels") or {}
    own_labels = (template.get("metadata") or {}).get("labels") or {}
    spec = pod.get("spec") or {}
    names = {item.get("name") for item in spec.get("containers") or []}
    own_names = {item.get("name") for item in template["spec"]["containers"]}
    return (
        own_names <= names,
        all(labels.get(key) == value for key, value in own_labels.items()),
        sum(spec.get(key) == value for key, value in template["spec"].items()),
    )


def template_pod(workload: Object, path: tuple[str, ...] = ()) -> Object | None:
    """The pod that a workload's template describes, named after the workload; None without one.

    ``path`` is that of the template, if not the first.
    """
    path = path or template_path(workload)
    if not path:
        return None
    template: Object = step_into(workload, path)
    metadata = workload["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **(template.get("metadata") or {}),
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
            "ownerReferences": [
                {
                    "apiVersion": workload.get("apiVersion", ""),
                    "kind": workload["kind"],
                    "name": metadata["name"],
                    "uid": metadata.get("uid", ""),
                    "controller": True,
                }
            ],
        },
        "spec": template["spec"],
    }


def template_of(pod: Object, world: World) -> tuple[Object, tuple[str, ...]] | None:
    """The workload whose template a pod on paper is that of, and where in it; None for another."""
    reference = controller_of(pod)
    metadata = pod["metadata"]
    if reference is None or reference["name"] != metadata["name"]:
        return None
    kind, name = reference["kind"], reference["name"]
    try:
        item = world.get(kind, metadata.get("namespace", ""), name, reference.get("apiVersion", ""))
    except Unseen:
        return None
    path = template_path(item, pod) if item is not None else ()
    return (item, path) if item is not None and path else None


def is_live(pod: Object) -> bool:
    """Whether a pod was stored by an API server, rather than read from a template or manifest."""
    # past what likeness.py counts as read: which uid it is does not matter here
    return bool(dict.get(pod["metadata"], "uid"))


def made_before(item: Object, moment: str) -> bool:
    """Whether an object was made before a time, both as Kubernetes writes them."""
    metadata = item["metadata"]
    # pods of one workload were made at different times, on the same side of most others
    watched = getattr(metadata, "made_before", None)
    if watched is not None:
        return bool(watched(moment))
    return str(metadata.get("creationTimestamp") or "") < moment


def finished(pod: Object) -> bool:
    """Whether a pod has ended: nothing renews its token any more, and nothing needs to."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def controller_of(item: Object) -> Object | None:
    """The owner reference that is the controller, or None."""
    for reference in item["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return dict(reference)
    return None


def at_hand(reference: Object, namespace: str, world: World) -> Object | None:
    """The controller of what a reference names, where the world knows it without reading that.

    Only one that has a pod template itself: else the walk ends below it, and needs what is there.
    """
    ask = getattr(world, "controller", None)
    above: Object | None = ask(reference, namespace) if ask is not None else None
    if above is None:
        return None
    try:
        item = world.get(above["kind"], namespace, above["name"], above.get("apiVersion", ""))
    except Unseen:
        return above
    return above if item is None or template_path(item) else None


def owner_of(pod: Object, world: World) -> Owner | None:
    """The topmost controller of a pod that has a pod template (a Deployment, not its ReplicaSet).

    None for a pod that stands alone (or on its own as a mirror of a static pod). A controller that
    cannot be read ends the walk, and is the answer as far as it can be named.
    """
    found = None
    reference = controller_of(pod)
    namespace = pod["metadata"].get("namespace", "")
    for _ in range(5):
        if reference is None or reference["kind"] == "Node":
            break
        above = at_hand(reference, namespace, world)
        if above is not None:
            reference = above
        kind, name = reference["kind"], reference["name"]
        api_version = reference.get("apiVersion", "")
        try:
            item = world.get(kind, namespace, name, api_version)
        except Unseen:
            return unread(reference, pod, namespace)
        path = template_path(item, pod) if item is not None else ()
        if item is not None and not path:
            break
        found = Owner(kind, api_version, namespace, name, item, path)
        if item is None:
            break
        reference = controller_of(item)
    return found


def unread(reference: Object, pod: Object, namespace: str) -> Owner:
    """A controller that cannot be read, as far as its reference names it.

    A ReplicaSet is that of a Deployment, if the pods have the label and the name which that gives.
    """
    kind, name = reference["kind"], reference["name"]
    hash_ = (pod["metadata"].get("labels") or {}).get("pod-template-hash")
    if kind == "ReplicaSet" and hash_ and name.endswith(f"-{hash_}"):
        return Owner("Deployment", "apps/v1", namespace, name.removesuffix(f"-{hash_}"), None)
    return Owner(kind, reference.get("apiVersion", ""), namespace, name, None)


def between_of(workload: Object, world: World) -> Iterator[Object]:
    """The controllers between a workload and its pods (ReplicaSets, Jobs), as metadata.

    Those above others come first. Raises Unseen, at the end, when there may be more.
    """
    custom, namespace = is_custom(workload), workload["metadata"].get("namespace", "")
    uids = {workload["metadata"].get("uid")}
    unseen: Unseen | None = None
    for between in CONTROLLERS if custom else BETWEEN.get(workload["kind"], ()):
        try:
            for item in world.list(between, namespace, metadata=True):
                if (controller_of(item) or {}).get("uid") in uids:
                    uids.add(item["metadata"].get("uid"))
                    yield item
        except Unseen as reason:
            unseen = reason
    if unseen is not None:
        raise unseen


def pods_of(workload: Object, world: World) -> Iterator[Object]:
    """The live pods of a workload, through the controllers between (ReplicaSets, Jobs).

    Raises Unseen, at the end, when pods or what is between cannot be listed.
    """
    namespace = workload["metadata"].get("namespace", "")
    uids = {workload["metadata"].get("uid")}
    unseen: Unseen | None = None
    try:
        uids |= {item["metadata"].get("uid") for item in between_of(workload, world)}
    except Unseen as reason:
        unseen = reason
    custom = is_custom(workload)
    known: dict[str, bool] = {}
    for pod in world.list("Pod", namespace):
        reference = controller_of(pod) or {}
        uid = reference.get("uid", "")
        if uid in uids or (custom and is_below(reference, namespace, world, uids, known)):
            yield pod
    if unseen is not None:
        raise unseen


def is_below(
    reference: Object, namespace: str, world: World, uids: set[Any], known: dict[str, bool]
) -> bool:
    """Whether a pod's controller is a custom one that itself is controlled by one of these.

    ``known`` are the answers so far, by uid. What cannot be read is below nothing.
    """
    climbed: list[str] = []
    found = False
    while reference and is_custom(reference) and len(climbed) < 5:
        uid = reference.get("uid", "")
        if uid in uids or uid in known:
            found = uid in uids or known[uid]
            break
        climbed.append(uid)
        try:
            item = world.get(
                reference["kind"], namespace, reference["name"], reference.get("apiVersion", "")
            )
        except Unseen:
            break
        reference = (controller_of(item) if item is not None else None) or {}
        found = reference.get("uid") in uids
        if found:
            break
    known.update(dict.fromkeys(climbed, found))
    return found


def creators(workload: Object, world: World) -> Iterator[Object]:
    """The objects whose events tell why pods are not made: the workload and those between."""
    yield workload
    yield from between_of(workload, world)
