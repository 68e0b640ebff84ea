"""The World: what can be seen of a cluster, live or in files.

Objects are plain dicts, camelCase, as the API server writes them. A World says of each object that
it is there (a dict), that it is not there (None), or that it could not be looked at (`Unseen` is
raised, with the reason). Nothing else in the package reads objects, so "could not look" can never
turn into "not there".
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

Object = dict[str, Any]


class Unseen(Exception):
    """Something could not be looked at: ``what`` (plural resource or object), ``why`` in words."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why


class Kind(NamedTuple):
    """A resource type, as discovery names it."""

    kind: str
    api_version: str
    plural: str
    namespaced: bool
    short: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]


# The types that the checks read, and the short names that kubectl has for them. Others are looked
# up by discovery.
KINDS = {
    kind.kind: kind
    for kind in (
        Kind("Pod", "v1", "pods", True, ("po",)),
        Kind("ServiceAccount", "v1", "serviceaccounts", True, ("sa",)),
        Kind("Secret", "v1", "secrets", True),
        Kind("ConfigMap", "v1", "configmaps", True, ("cm",)),
        Kind("Event", "v1", "events", True, ("ev",)),
        Kind("Service", "v1", "services", True, ("svc",)),
        Kind("Namespace", "v1", "namespaces", False, ("ns",)),
        Kind("Node", "v1", "nodes", False, ("no",)),
        Kind("ReplicationController", "v1", "replicationcontrollers", True, ("rc",)),
        Kind("Deployment", "apps/v1", "deployments", True, ("deploy",)),
        Kind("ReplicaSet", "apps/v1", "replicasets", True, ("rs",)),
        Kind("StatefulSet", "apps/v1", "statefulsets", True, ("sts",)),
        Kind("DaemonSet", "apps/v1", "daemonsets", True, ("ds",)),
        Kind("Job", "batch/v1", "jobs", True),
        Kind("CronJob", "batch/v1", "cronjobs", True, ("cj",)),
        Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims", True, ("pvc",)),
        Kind("PersistentVolume", "v1", "persistentvolumes", False, ("pv",)),
        Kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies", True, ("netpol",)),
        Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices", True),
        Kind("CSIDriver", "storage.k8s.io/v1", "csidrivers", False),
        *(
            Kind(kind, "admissionregistration.k8s.io/v1", plural, False)
            for kind, plural in (
                ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
                ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
                ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
                ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
                ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
                ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
            )
        ),
        Kind("Role", "rbac.authorization.k8s.io/v1", "roles", True),
        Kind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings", True),
        Kind("ClusterRole", "rbac.authorization.k8s.io/v1", "clusterroles", False),
        Kind("ClusterRoleBinding", "rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
    )
}


def known_kind(kind: str, api_version: str) -> Kind | None:
    """The built-in type of that name, unless it is of another API group. Any version will do."""
    known = KINDS.get(kind)
    if known is None or (api_version and known.group != api_version.rpartition("/")[0]):
        return None
    return known


def is_custom(item: Object) -> bool:
    """Whether an object is of a kind that is not in KINDS, or only has such a name.

    The Service of Knative has, or the Job of Volcano.
    """
    return known_kind(str(item.get("kind")), str(item.get("apiVersion") or "")) is None


class Ref(NamedTuple):
    """Names an object. ``namespace`` is empty for cluster-wide ones."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


class Want(NamedTuple):
    """One read that will be needed: an object by name, or (no name) the list of a namespace.

    For kind ``Event`` the name is that of the object that the events are about; for kind ``""`` it
    is the path of a non-resource document. ``metadata`` asks for a list of metadata only. A
    ``short`` list stands for several objects that will be got: it is read if it is one page only.
    """

    kind: str
    namespace: str = ""
    name: str = ""
    metadata: bool = False
    short: bool = False


class World(Protocol):
    """What the checks may ask."""

    #: "cluster" or "manifests": how sure an answer can be depends on it.
    source: str

    #: The flags by which kubectl reaches the same cluster (``--context prod``), for printed fixes.
    flags: tuple[str, ...]

    def now(self) -> float:
        """The time to judge by: the clock, or when the snapshot was taken."""

    def get(self, kind: str, namespace: str, name: str, api_version: str = "") -> Object | None:
        """The object, or None when it is not there. Raises Unseen.

        ``api_version`` is needed only for kinds that are not in KINDS.

        A Secret comes without its data: ``metadata``, ``type`` and ``dataCount`` (how many keys it
        holds; the one field that is ours). No check may need more, so no secret value is read. One
        from a file has ``data`` and ``stringData``, but as token_secrets.redacted leaves them.
        """

    def list(self, kind: str, namespace: str = "", *, metadata: bool = False) -> Iterator[Object]:
        """All objects of a kind, of one namespace or (empty) of all; maybe only their metadata.

        Raises Unseen, at the end, when there may be more: whoever has found what it sought can
        stop before that, and is right.

        Secrets come as with ``get``.
        """

    def events(self, namespace: str, name: str) -> Iterator[Object]:
        """The events about the objects of that name. Raises Unseen."""

    def text(self, path: str) -> Object | None:
        """A non-resource document such as /.well-known/openid-configuration. Raises Unseen."""

    def applied_before(self, one: Object, other: Object) -> bool:
        """Whether kubectl apply makes ``one`` before ``other``, both as they were handed out.

        Only manifests have such an order; what is stored, or of a snapshot, has none.
        """

    def prepare(self, wants: Iterable[Want]) -> None:
        """Says what will be asked, so that it can be fetched at once. Never raises."""


class Whole:
    """A World that is at hand from end to end, as a sweep reads it: see sweep.Sweepable."""

    namespace = ""  # what a sweep is of; empty: all

    def list(self, kind: str, namespace: str = "", *, metadata: bool = False) -> Iterator[Object]:
        """As World has it."""
        raise NotImplementedError

    def each(self, kind: Kind, selector: str = "", *, metadata: bool = False) -> Iterator[Object]:
        """All of a kind; there is nobody who would know selectors. Raises Unseen."""
        return self.list(kind.kind, self.namespace, metadata=metadata)

    def sketches(self, selector: str = "") -> Iterator[Object]:
        """The pods, each as it is. Raises Unseen."""
        return self.list("Pod", self.namespace)

    def some(self, kind: Kind, wanted: Callable[[Object], bool]) -> Iterator[Object]:
        """The workloads of a kind for which that holds. Raises Unseen."""
        return filter(wanted, self.list(kind.kind, self.namespace))

    def warnings(self) -> Iterator[Object]:
        """The warning events. Raises Unseen."""
        for event in self.list("Event", self.namespace):
            if event.get("type") == "Warning":
                yield event


class Sealed:
    """A secret string that cannot be shown by accident: only ``reveal()`` gives it out."""

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def reveal(self) -> str:
        """The secret itself. Every call is a place where a token is meant to leave."""
        return self._secret

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._secret)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and other._secret == self._secret

    def __hash__(self) -> int:
        return hash(self._secret)

    def __reduce__(self) -> str:
        raise TypeError("a sealed secret cannot be copied or pickled")
