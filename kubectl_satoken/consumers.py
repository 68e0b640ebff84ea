"""Who uses a Secret, and what runs as a service account: pods, what makes pods, and accounts.

Objects are handed in one by one and let go, so only what was found is kept, however large a cluster
is. Workloads count as they stand in their templates, so one that is scaled to zero or a CronJob
between two runs is a consumer as well; their pods are counted under them.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from .kinds import Type
from .workloads import controller_of, finished, template_path
from .world import KINDS, Kind, Object, Ref, Unseen, World

# How a Secret or an account is used.
VOLUME = "volume"
PROJECTED = "projected volume"
DRIVER = "volume driver"
ENV = "env"
ENV_FROM = "envFrom"
PULL = "imagePullSecrets"
LISTED = "secrets"  # of a service account
RUNS_AS = "runs as"
NAMED = "named"  # by what a controller works for: an Ingress, a webhook or a custom resource

# Where volumes of other types name a Secret (VisitPodSecretNames in pkg/api/v1/pod/util.go).
VOLUME_SECRETS = (
    ("secret", "secretName"),
    ("azureFile", "secretName"),
    ("cephfs", "secretRef"),
    ("cinder", "secretRef"),
    ("flexVolume", "secretRef"),
    ("rbd", "secretRef"),
    ("scaleIO", "secretRef"),
    ("iscsi", "secretRef"),
    ("storageos", "secretRef"),
    ("csi", "nodePublishSecretRef"),
)

# The API groups of Kubernetes itself, in which only these types have a pod template, and those that
# are computed when they are asked for.
BUILT_IN = ("", "apps", "autoscaling", "batch", "events.k8s.io", "extensions", "policy")
BUILT_IN_GROUPS = frozenset(
    (
        *BUILT_IN,
        *(
            f"{group}.k8s.io"
            for group in (
                *("admissionregistration", "apiextensions", "apiregistration", "authentication"),
                *("authorization", "rbac.authorization", "certificates", "coordination"),
                *("discovery", "flowcontrol.apiserver", "internal.apiserver", "networking"),
                *("node", "resource", "scheduling", "storage", "storagemigration"),
                *("metrics", "custom.metrics", "external.metrics"),
            )
        ),
    )
)
WITH_TEMPLATE = (
    *("CronJob", "DaemonSet", "Deployment", "Job", "PodTemplate", "ReplicaSet"),
    *("ReplicationController", "StatefulSet"),
)
# Of Kubernetes' own types, those that only name Secrets, and those that do so only in annotations
# of others, as that of cert-manager which says whose certificate is to be put into them.
WITH_NAMES = ("Ingress",)
WITH_ANNOTATIONS = (
    *("APIService", "CustomResourceDefinition"),
    *("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"),
)

# What a token Secret holds, by which a reference to a key (a SecretKeySelector) is one to it.
TOKEN_KEYS = ("token", "ca.crt", "namespace")

# In the place of a namespace: an object that is in none says only the name. Its controller knows.
ANYWHERE = "*"

ASIDE_SHOWN = 6  # types


class Use(NamedTuple):
    """One use: of what (``Secret`` or ``ServiceAccount`` and its name), how, and where it says so.

    ``part`` is the name of the volume or of the variable, ``container`` that of the container.
    ``namespace`` is where that is, if it is said: ANYWHERE, or empty for that of the object.
    """

    kind: str
    name: str
    how: str
    path: str
    part: str = ""
    container: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        if self.how in (VOLUME, PROJECTED, DRIVER):
            return f"{self.how} {self.part}"
        if self.how == ENV:
            return f"{self.how} {self.part} of {self.container}"
        if self.how == ENV_FROM:
            return f"{self.how} of {self.container}"
        return f"{self.how} at {self.path}" if self.how == NAMED else self.how


class Consumer(NamedTuple):
    """An object that uses what was asked about, and its pods that do.

    ``uses`` are those of its own template; ``pods`` the running or waiting pods that use it, which
    may be so without the template (one that was changed since, an account's imagePullSecrets);
    ``revisions`` its older ReplicaSets, to which an undo of a rollout goes back. ``state`` tells
    why there may be no pods: scaled to zero, suspended, finished. ``controller`` is who made the
    object, and would make it as it was.
    """

    kind: str
    api_version: str
    namespace: str
    name: str
    uses: tuple[Use, ...] = ()
    pods: int = 0
    ended: int = 0
    revisions: int = 0
    state: str = ""
    controller: str = ""

    @property
    def resource(self) -> str:
        """The object as kubectl takes it: ``deployment/web``, ``rollout.argoproj.io/web``."""
        group = self.api_version.rpartition("/")[0]
        known = self.kind in KINDS and KINDS[self.kind].group == group
        kind = self.kind.lower()
        return f"{kind if known or not group else f'{kind}.{group}'}/{self.name}"

    @property
    def over(self) -> bool:
        """Whether it has ended, so that it needs nothing any more."""
        return not self.pods and (self.state == FINISHED or not self.uses and not self.revisions)


ZERO = "scaled to zero"
SUSPENDED = "suspended"
FINISHED = "finished"


class Found(NamedTuple):
    """The consumers of each object that was asked about, and what could not be looked at; ``aside``
    is that of which nothing runs with a token: it could only name it."""

    consumers: dict[Ref, list[Consumer]]
    unseen: list[Unseen]
    aside: Sequence[Unseen] = ()


# --- where ----------------------------------------------------------------------------------------


def kinds_to_read(types: Iterable[Type]) -> list[Kind]:
    """Of what a server serves, the types whose objects may use a Secret or an account, pods last.

    All custom resources are among them: what has a pod template is told by its shape.
    """
    found: dict[tuple[str, str], Kind] = {}
    for each in types:
        kind = each.kind
        if each.verbs and "list" not in each.verbs:
            continue
        own = (*WITH_TEMPLATE, *WITH_NAMES) if kind.namespaced else WITH_ANNOTATIONS
        if kind.group in BUILT_IN_GROUPS and kind.kind not in own:
            continue
        found[kind.group, kind.plural] = kind
    found["", "serviceaccounts"] = KINDS["ServiceAccount"]
    found["", "pods"] = KINDS["Pod"]
    # who made a pod is known from what was read before it
    return sorted(found.values(), key=lambda kind: (kind == KINDS["Pod"], kind.plural))


def only_names(kind: Kind) -> bool:
    """Whether nothing but the metadata of such objects can name a Secret."""
    return kind.group in BUILT_IN_GROUPS and kind.kind in WITH_ANNOTATIONS


def together(aside: Iterable[Unseen]) -> list[Unseen]:
    """Types that may not be looked at, in one: there may be dozens."""
    some: list[Unseen] = []
    forbidden: list[str] = []
    for one in aside:
        if one.why.startswith("forbidden to you"):
            forbidden.append(one.what)
        else:
            some.append(one)
    if forbidden:
        more = len(forbidden) - ASIDE_SHOWN
        what = ", ".join(sorted(forbidden)[:ASIDE_SHOWN])
        what += f" and {more} more types" if more > 0 else ""
        some.append(Unseen(what, "forbidden to you: needs list of them; they could name it"))
    return some


def pod_specs(item: Object) -> Iterator[tuple[str, Object]]:
    """The pod specs of an object, each after its path: its own, its template's, or in a custom
    resource whatever has containers."""
    if item["kind"] == "Pod" and item.get("apiVersion") == "v1":
        yield "spec", item["spec"]
        return
    if is_built_in(item):
        path = template_path(item)
        if path:
            spec = item
            for field in (*path, "spec"):
                spec = spec[field]
            yield ".".join((*path, "spec")), spec
        return
    for path_to, value in parts(item):
        if has_containers(value):
            yield path_to, value


def is_built_in(item: Object) -> bool:
    """Whether an object is of Kubernetes' own types."""
    return str(item.get("apiVersion") or "v1").rpartition("/")[0] in BUILT_IN_GROUPS


def has_containers(value: Any) -> bool:
    """Whether something is a pod spec, by its shape."""
    inner = value.get("containers") if isinstance(value, dict) else None
    return isinstance(inner, list) and bool(inner) and all(isinstance(one, dict) for one in inner)


def parts(item: Object) -> Iterator[tuple[str, Any]]:
    """All maps and lists in a custom resource, but for what its controller reports, each after its
    path; nothing that lies within a pod spec."""
    fields = (field for field in item if field not in ("metadata", "status", "kind", "apiVersion"))
    stack = [(field, item[field]) for field in fields]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            yield path, value
            if not has_containers(value):
                stack += [(f"{path}.{key}", inner) for key, inner in value.items()]
        elif isinstance(value, list):
            yield path, value
            stack += [(f"{path}[{index}]", inner) for index, inner in enumerate(value)]


# --- what -----------------------------------------------------------------------------------------


def uses_of(item: Object) -> Iterator[Use]:
    """What an object uses: Secrets, and the account that its pods run as."""
    if item["kind"] == "ServiceAccount" and is_built_in(item):
        for field in (LISTED, PULL):
            for index, reference in enumerate(entries(item, field)):
                yield Use("Secret", name_in(reference), field, f"{field}[{index}].name")
        return
    for path, spec in pod_specs(item):
        yield from secret_uses(spec, path)
        account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        yield Use("ServiceAccount", str(account), RUNS_AS, f"{path}.serviceAccountName")
    if not is_built_in(item) or item["kind"] in (*WITH_NAMES, *WITH_ANNOTATIONS):
        yield from named_in(item)


def secret_uses(spec: Object, path: str = "spec") -> Iterator[Use]:
    """All Secrets that a pod spec refers to, as the legacy token cleaner counts them."""
    return (use for use in references(spec, path) if use.name)


def references(spec: Object, path: str) -> Iterator[Use]:
    """The places where a pod spec can refer to a Secret; many name none."""
    for index, reference in enumerate(entries(spec, "imagePullSecrets")):
        yield Use("Secret", name_in(reference), PULL, f"{path}.imagePullSecrets[{index}].name")
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for number, container in enumerate(entries(spec, field)):
            where, own = f"{path}.{field}[{number}]", str(inner(container, "name") or "")
            for index, source in enumerate(entries(container, "envFrom")):
                name = name_in(inner(source, "secretRef"))
                at = f"{where}.envFrom[{index}].secretRef.name"
                yield Use("Secret", name, ENV_FROM, at, "", own)
            for index, variable in enumerate(entries(container, "env")):
                name = name_in(inner(variable, "valueFrom", "secretKeyRef"))
                at = f"{where}.env[{index}].valueFrom.secretKeyRef.name"
                yield Use("Secret", name, ENV, at, str(inner(variable, "name") or ""), own)
    for number, volume in enumerate(entries(spec, "volumes")):
        where, own = f"{path}.volumes[{number}]", str(inner(volume, "name") or "")
        for kind, field in VOLUME_SECRETS:
            found = inner(volume, kind, field)
            how = VOLUME if kind == "secret" else DRIVER
            at = f"{where}.{kind}.{field}"
            if isinstance(found, dict):
                at += ".name"
            yield Use("Secret", name_in(found), how, at, own)
        for index, source in enumerate(entries(inner(volume, "projected"), "sources")):
            at = f"{where}.projected.sources[{index}].secret.name"
            yield Use("Secret", name_in(inner(source, "secret")), PROJECTED, at, own)


def named_in(item: Object) -> Iterator[Use]:
    """The Secrets and accounts that an Ingress or custom resource seems to name, by its fields.

    And by annotations, as those of ingress-nginx and cert-manager do: ``NAME`` or
    ``NAMESPACE/NAME``.
    """
    nowhere = "" if item["metadata"].get("namespace") else ANYWHERE
    for key, within in (item["metadata"].get("annotations") or {}).items():
        where, _, name = str(within).rpartition("/")
        if "secret" in str(key).lower() and "/" not in where:
            path = f"metadata.annotations[{key}]"
            yield Use("Secret", name, NAMED, path, namespace=where or nowhere)
    if only_names_of(item):
        return
    for path, value in parts(item):
        if not isinstance(value, dict) or has_containers(value):
            continue
        field = path.rpartition(".")[2].lower()
        kind = kind_in(value)
        # else the field says it, and is looked at with what it is in
        if kind and kind.lower() not in field:
            for name, where in references_in(value):
                yield Use(kind, name, NAMED, path, namespace=where or nowhere)
        for key, within in value.items():
            lower = str(key).lower()
            for word, kind in (("secret", "Secret"), ("serviceaccount", "ServiceAccount")):
                if word in lower:
                    for name, where in references_in(within):
                        yield Use(kind, name, NAMED, f"{path}.{key}", namespace=where or nowhere)


def only_names_of(item: Object) -> bool:
    """Whether an object is of a type of which only the metadata are read."""
    return is_built_in(item) and item["kind"] in WITH_ANNOTATIONS


def kind_in(value: Object) -> str:
    """What a reference is to, by its kind or by the key that it takes; empty where it tells not."""
    if value.get("kind") in ("Secret", "ServiceAccount"):
        return str(value["kind"])
    return "Secret" if value.get("key") in TOKEN_KEYS else ""


def inner(value: Any, *path: str) -> Any:
    """What lies at a path of maps, or None."""
    for field in path:
        value = value.get(field) if isinstance(value, dict) else None
    return value


def entries(value: Any, field: str) -> list[Any]:
    """The entries of a list in a map; none where it is something else, as in a custom resource."""
    found = inner(value, field)
    return found if isinstance(found, list) else []


def name_in(reference: Any) -> str:
    """The name in a reference, or one that stands for itself; empty if there is none."""
    name = reference.get("name") if isinstance(reference, dict) else reference
    return name if isinstance(name, str) else ""


def references_in(value: Any) -> list[tuple[str, str]]:
    """The names in a reference or a list of them, each with its namespace if that is said."""
    found = []
    for one in value if isinstance(value, list) else [value]:
        where = inner(one, "namespace")
        found.append((name_in(one), where if isinstance(where, str) else ""))
    return [one for one in found if one[0]]


# --- who ------------------------------------------------------------------------------------------

Reader = Callable[[Kind], Iterator[Object]]


def find(wanted: Collection[Ref], kinds: Iterable[Kind], read: Reader, world: World) -> Found:
    """The consumers of some Secrets and accounts.

    ``read`` yields the objects of a kind, of the namespaces that matter, and raises Unseen where it
    cannot. The world answers who made a ReplicaSet that is met only by its pods.
    """
    search = Search(wanted, world)
    unseen: list[Unseen] = []
    aside: list[Unseen] = []
    for kind in kinds:
        try:
            for item in read(kind):
                search.take(item)
        except Unseen as error:
            (unseen if kind.namespaced else aside).append(error)
    return Found(search.found(), unseen, together(aside))


class Search:
    """What was found so far."""

    def __init__(self, wanted: Collection[Ref], world: World) -> None:
        self.world = world
        self.drafts: dict[Ref, dict[tuple[str, str, str, str], Consumer]] = {
            one: {} for one in wanted
        }
        self.called: dict[tuple[str, str], list[Ref]] = {}
        for one in wanted:
            self.called.setdefault((one.kind, one.name), []).append(one)
        self.makers: dict[str, Object | None] = {}  # of ReplicaSets and Jobs, by uid

    def found(self) -> dict[Ref, list[Consumer]]:
        """The consumers of each, by name."""
        return {one: [drafts[key] for key in sorted(drafts)] for one, drafts in self.drafts.items()}

    def take(self, item: Object) -> None:
        """Notes what an object uses, if that is wanted."""
        namespace = item["metadata"].get("namespace", "")
        uses: dict[Ref, list[Use]] = {}
        for use in uses_of(item):
            for target in self.meant(use, namespace):
                uses.setdefault(target, []).append(use)
        if not uses:
            return
        above = self.above(item)
        for target, own in uses.items():
            self.note(target, own, item, above)

    def meant(self, use: Use, namespace: str) -> list[Ref]:
        """Which of those that are wanted an object in a namespace uses."""
        if use.namespace == ANYWHERE:
            return self.called.get((use.kind, use.name), [])
        target = Ref(use.kind, use.namespace or namespace, use.name)
        return [target] if target in self.drafts else []

    def above(self, item: Object) -> Object | None:
        """The reference to what an object counts under; None for itself.

        Pods count under what made them, and ReplicaSets and Jobs as well. Raises nothing: who
        cannot be looked at is named as far as it is known.
        """
        reference = controller_of(item)
        if reference is None or reference["kind"] == "Node":
            return None
        if item["kind"] in ("ReplicaSet", "Job"):
            self.makers[item["metadata"].get("uid", "")] = reference
            return reference
        if item["kind"] != "Pod":
            return None
        if reference["kind"] not in ("ReplicaSet", "Job"):
            return reference
        uid = reference.get("uid", "")
        if uid not in self.makers:
            self.makers[uid] = None
            namespace = item["metadata"].get("namespace", "")
            try:
                maker = self.world.get(reference["kind"], namespace, reference["name"])
            except Unseen:
                maker = None
            if maker is not None and maker["metadata"].get("uid") == uid:
                self.makers[uid] = controller_of(maker)
        return self.makers[uid] or reference

    def note(self, target: Ref, uses: list[Use], item: Object, above: Object | None) -> None:
        """Counts a use under whom it belongs to."""
        namespace, kind = item["metadata"].get("namespace") or "", item["kind"]
        named = above or {**item, "name": item["metadata"]["name"]}
        key = (named["kind"], named.get("apiVersion") or "v1", namespace, named["name"])
        drafts = self.drafts[target]
        draft = drafts.get(key) or Consumer(*key)
        if kind == "Pod":
            over = finished(item)
            draft = draft._replace(pods=draft.pods + (not over), ended=draft.ended + over)
            if above is None:
                draft = draft._replace(uses=tuple(uses), state=FINISHED if over else "")
        elif above is None:
            maker = controller_of(item)
            by = f"{maker['kind'].lower()}/{maker['name']}" if maker else ""
            draft = draft._replace(uses=tuple(uses), state=state_of(item), controller=by)
        elif kind == "ReplicaSet" or state_of(item) != FINISHED:
            draft = draft._replace(revisions=draft.revisions + 1)
        drafts[key] = draft


def state_of(workload: Object) -> str:
    """Why a workload has no pods now, though it will have some; or that it has ended."""
    spec = workload.get("spec") or {}
    conditions = entries(inner(workload, "status"), "conditions")
    if workload["kind"] == "Job" and any(
        inner(one, "type") in ("Complete", "Failed") and inner(one, "status") == "True"
        for one in conditions
    ):
        return FINISHED
    if isinstance(spec, dict):
        if spec.get("suspend") is True:
            return SUSPENDED
        if spec.get("replicas") == 0:
            return ZERO
    return ""
