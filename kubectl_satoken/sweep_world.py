"""The World of a sweep: small lists are read once for all, and nothing grows with the cluster."""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from .admission import ROOT_CA_CONFIG_MAP
from .cluster import JSON, METADATA, PAGE, Api, key_of, parse, path_of
from .env import Env
from .errors import ApiError, ServerError
from .failures import Answer
from .live import ClusterWorld, Objects, ahead, unseen
from .pod_reader import (
    MADE,
    MAGIC,
    OUTLINES,
    PROTOBUF,
    SCHEMA,
    Broken,
    PodReader,
    Sketch,
    key_of_item,
    page_in,
    whole,
)
from .workloads import controller_of
from .world import KINDS, Kind, Object, Unseen, Want, known_kind

# Kinds of which one list answers for all pods of a sweep. They are kept folded, a namespace at a
# time; what is larger than these (ConfigMaps, ReplicaSets) is read when it is asked for.
AT_ONCE = frozenset(("ServiceAccount", "Secret", "Role", "RoleBinding", "Service", "NetworkPolicy"))

# How many namespaces are open at once, and how much of what was read one by one is remembered.
# Pods come in the order of their namespaces and names, so those that ask for one thing are near
# each other.
OPEN = 2

# Pods are read bit by bit; the JSON of workloads becomes ten times as large when it is read.
PODS_IN_A_PAGE = 500
WHOLE_IN_A_PAGE = 100
LISTS = 4
SINGLES = 200
STOCK = 50

# Who controls a ReplicaSet is read one by one at first; and of all at once, by their metadata, when
# that has cost as much as their list would: a page of 500 takes about as long as five of them.
PROBE = 8
SHARE = 100
METADATA_ONLY = f"{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

ONE_CONFIG_MAP = (("fieldSelector", f"metadata.name={ROOT_CA_CONFIG_MAP}"),)
WARNINGS = (("fieldSelector", "type=Warning"),)


class Shelf:
    """A list, kept small: each namespace is text, deflated, and is opened when it is asked for."""

    def __init__(self, pages: Iterable[Objects]) -> None:
        self.count = 0
        self.folded: dict[str, bytes] = {}
        self.opened: dict[str, dict[str, Object]] = {}
        self.by_about: dict[str, dict[str, Objects]] = {}
        here = ""
        things: Objects = []
        for page in pages:
            for thing in page:
                namespace = thing["metadata"].get("namespace", "")
                if namespace != here and things:
                    self.fold(here, things)
                    things = []
                here = namespace
                things.append(thing)
                self.count += 1
        if things:
            self.fold(here, things)

    def fold(self, namespace: str, things: Objects) -> None:
        """Keeps the objects of a namespace, with those that it has of it already."""
        if namespace in self.folded:
            things = [*self.unfold(namespace), *things]
        # ASCII, so that an unpaired surrogate in somebody's text survives the way
        text = json.dumps(things, separators=(",", ":")).encode()
        self.folded[namespace] = zlib.compress(text, 1)

    def unfold(self, namespace: str) -> Objects:
        """The objects of a namespace, in their order."""
        folded = self.folded.get(namespace)
        things: Objects = json.loads(zlib.decompress(folded)) if folded else []
        return things

    def open(self, namespace: str) -> dict[str, Object]:
        """The objects of a namespace by name."""
        found = self.opened.get(namespace)
        if found is None:
            found = {thing["metadata"]["name"]: thing for thing in self.unfold(namespace)}
            while len(self.opened) >= OPEN:
                self.opened.pop(next(iter(self.opened)))
            self.opened[namespace] = found
        return found

    def about(self, namespace: str, name: str) -> Objects:
        """The events of a namespace about the objects of that name."""
        found = self.by_about.get(namespace)
        if found is None:
            found = {}
            for event in self.unfold(namespace):
                about = (event.get("involvedObject") or {}).get("name", "")
                found.setdefault(about, []).append(event)
            while len(self.by_about) >= OPEN:
                self.by_about.pop(next(iter(self.by_about)))
            self.by_about[namespace] = found
        return found.get(name, [])

    def __iter__(self) -> Iterator[Object]:
        for namespace in self.folded:
            yield from self.unfold(namespace)


class Stock:
    """A list of workloads as the server wrote it, a namespace at a time and deflated.

    Most are looked at once, for how many pods they have; those with a fault once more, for the fix.
    """

    def __init__(self) -> None:
        self.folded: dict[str, tuple[bytes, list[int]]] = {}
        self.opened: dict[str, dict[str, bytes]] = {}
        self.read: dict[tuple[str, str], Object] = {}
        self.here = ""
        self.items: list[bytes] = []

    def put(self, namespace: str, item: bytes) -> None:
        """Keeps an object; they come in the order of their namespaces."""
        if namespace != self.here:
            self.close()
            self.here = namespace
        self.items.append(item)

    def close(self) -> None:
        """Folds the namespace that was the last."""
        if self.items:
            items = (
                [*self.unfold(self.here), *self.items] if self.here in self.folded else self.items
            )
            lengths = [len(item) for item in items]
            self.folded[self.here] = zlib.compress(b"".join(items), 1), lengths
            self.opened.pop(self.here, None)
        self.items = []

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """An object, if it is here. Raises Broken."""
        found = self.read.get((namespace, name))
        if found is not None:
            return found
        if namespace == self.here:
            self.close()
        if namespace not in self.folded:
            return None
        names = self.opened.get(namespace)
        if names is None:
            names = {key_of_item(item): item for item in self.unfold(namespace)}
            while len(self.opened) >= OPEN:
                self.opened.pop(next(iter(self.opened)))
            self.opened[namespace] = names
        data = names.get(f"{namespace}/{name}")
        if data is None:
            return None
        found = {**whole(SCHEMA[kind.kind], data), "kind": kind.kind}
        found["apiVersion"] = kind.api_version
        while len(self.read) >= STOCK:
            self.read.pop(next(iter(self.read)))
        self.read[namespace, name] = found
        return found

    def unfold(self, namespace: str) -> list[bytes]:
        """The objects of a namespace, still to be read."""
        folded, lengths = self.folded[namespace]
        data = zlib.decompress(folded)
        items = []
        at = 0
        for length in lengths:
            items.append(data[at : at + length])
            at += length
        return items


class SweepWorld(ClusterWorld):
    """The World of a cluster while all of it, or a namespace, is looked at.

    It answers as ClusterWorld does, but for events: of those it knows the warnings.
    """

    def __init__(self, api: Api, env: Env, namespace: str) -> None:
        super().__init__(api, env)
        self.namespace = namespace  # or empty: all of them
        self.shelves: dict[str, Shelf | Unseen] = {}
        # by when they were last asked for
        self.singles: dict[tuple[str, Want], None] = {}
        self.lists: dict[tuple[str, Want], None] = {}
        self.stocks: dict[str, Stock] = {}
        self.asked = 0  # for ReplicaSets, one by one
        self.worth = 0  # so many that all at once would have been no dearer
        self.controllers: dict[tuple[str, str], tuple[str, ...]] | None = None
        self.roles: set[str] = set()  # ClusterRoles that were asked for

    def get(self, kind: str, namespace: str, name: str, api_version: str = "") -> Object | None:
        if self.in_scope(namespace) and known_kind(kind, api_version) is not None:
            if kind in AT_ONCE:
                return self.shelf(kind).open(namespace).get(name)
            if kind == "ConfigMap" and name == ROOT_CA_CONFIG_MAP:
                return self.shelf(kind, ONE_CONFIG_MAP).open(namespace).get(name)
            if kind in self.stocks:
                try:
                    found = self.stocks[kind].get(KINDS[kind], namespace, name)
                except Broken as broken:
                    raise unreadable(broken, 200, KINDS[kind]) from broken
                if found is not None:
                    return found
            if kind == "ReplicaSet" and ("", Want(kind, namespace, name)) not in self.memo:
                self.asked += 1
        if kind == "ClusterRole" and name not in self.roles:
            self.roles.add(name)
            if len(self.roles) == PROBE:
                with suppress(Unseen):  # then they are read one by one
                    self.recall(Want("ClusterRole"))
        return super().get(kind, namespace, name, api_version)

    def controller(self, reference: Object, namespace: str) -> Object | None:
        """Who controls the ReplicaSet that a reference names, where that is known without it."""
        if reference["kind"] != "ReplicaSet" or not self.in_scope(namespace):
            return None
        if known_kind("ReplicaSet", reference.get("apiVersion", "")) is None:
            return None
        if self.controllers is None:
            if self.asked < PROBE or self.asked < self.worth:
                return None
            if not self.worth:
                self.worth = max(self.number("ReplicaSet") // SHARE, 1)
                return self.controller(reference, namespace)
            self.controllers = self.made_by("ReplicaSet")
        found = self.controllers.get((namespace, reference["name"]))
        if found is None or found[0] != reference.get("uid"):
            return None
        _, kind, api_version, name, uid = found
        return {
            "kind": kind,
            "apiVersion": api_version,
            "name": name,
            "uid": uid,
            "controller": True,
        }

    def number(self, kind: str) -> int:
        """How many there are of a kind, as far as the server tells."""
        path = path_of(KINDS[kind], self.namespace)
        try:
            answer = self.api.request("GET", path, query=[("limit", "1")], accept=METADATA)
        except ApiError:
            return 1 << 62
        return int((answer.get("metadata") or {}).get("remainingItemCount") or 0)

    def made_by(self, kind: str) -> dict[tuple[str, str], tuple[str, ...]]:
        """The controllers of all of a kind, by namespace and name; none that cannot be read."""
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        known: dict[str, str] = {}  # kinds and versions, of which there are few
        try:
            for item in self.items(KINDS[kind], METADATA_ONLY):
                thing = whole(MADE, item) if isinstance(item, bytes) else item
                metadata = thing["metadata"]
                above = controller_of(thing)
                if above is not None:
                    found[metadata.get("namespace", ""), metadata["name"]] = (
                        metadata.get("uid", ""),
                        known.setdefault(above["kind"], above["kind"]),
                        known.setdefault(above["apiVersion"], above["apiVersion"]),
                        above["name"],
                        above.get("uid", ""),
                    )
        except Unseen:
            pass  # what is not here is read by itself
        return found

    def list(self, kind: str, namespace: str = "", *, metadata: bool = False) -> Iterator[Object]:
        if kind in AT_ONCE and self.in_scope(namespace):
            shelf = self.shelf(kind)
            return iter([*shelf.open(namespace).values()]) if namespace else iter(shelf)
        return super().list(kind, namespace, metadata=metadata)

    def events(self, namespace: str, name: str) -> Iterator[Object]:
        if self.in_scope(namespace):
            return iter([*self.shelf("Event", WARNINGS).about(namespace, name)])
        return super().events(namespace, name)

    def warnings(self) -> Iterator[Object]:
        """The warning events of all that is looked at. Raises Unseen."""
        return iter(self.shelf("Event", WARNINGS))

    def in_scope(self, namespace: str) -> bool:
        """Whether a list of what is looked at has all of a namespace."""
        return self.namespace in ("", namespace)

    def shelf(self, kind: str, query: Iterable[tuple[str, str]] = ()) -> Shelf:
        """The list of a kind, read when it is first asked for. Raises Unseen."""
        found = self.shelves.get(kind)
        if found is None:
            try:
                pages = self.pages(KINDS[kind], self.namespace, query)
                found = Shelf(map(without_managed_fields, pages) if kind == "Event" else pages)
            except Unseen as unseen:
                found = unseen
            self.shelves[kind] = found
        if isinstance(found, Unseen):
            raise found.with_traceback(None)
        return found

    def recall(self, want: Want, api_version: str = "") -> Object | None:
        try:
            value: Object | None = super().recall(want, api_version)
        finally:
            if want.namespace:
                self.remember((api_version, want))
        return value

    def remember(self, key: tuple[str, Want]) -> None:
        """Notes that something was used, and forgets what has not been for long."""
        recent = self.singles if key[1].name else self.lists
        recent.pop(key, None)
        recent[key] = None
        if len(recent) > (SINGLES if key[1].name else LISTS):
            oldest = next(iter(recent))
            del recent[oldest]
            self.memo.pop(oldest, None)

    def each(self, kind: Kind, selector: str = "", *, metadata: bool = False) -> Iterator[Object]:
        """All of a kind that is looked at, without keeping any. Raises Unseen, even midway."""
        if kind == KINDS["Pod"] and not metadata:
            for pod in self.sketches(selector):
                yield pod.whole() if isinstance(pod, Sketch) else pod
            return
        query = (("labelSelector", selector),) if selector else ()
        limit = PAGE if metadata else WHOLE_IN_A_PAGE
        for page in self.pages(kind, self.namespace, query, metadata=metadata, limit=limit):
            yield from page

    def some(self, kind: Kind, wanted: Callable[[Object], bool]) -> Iterator[Object]:
        """The workloads of a kind for which that holds, by their counts and their status.

        All of them are kept, small, for those that are asked for later. Raises Unseen, even midway.
        """
        stock = self.stocks[kind.kind] = Stock()
        small = OUTLINES[kind.kind]
        for item in self.items(kind, f"{PROTOBUF},{JSON}"):
            if not isinstance(item, bytes):
                if wanted(item):
                    yield item
                continue
            try:
                outlined = {**whole(small, item), "kind": kind.kind}
            except Broken as broken:
                raise unreadable(broken, 200, kind) from broken
            namespace = outlined["metadata"].get("namespace", "")
            stock.put(namespace, item)
            if wanted(outlined):
                found = self.get(kind.kind, namespace, outlined["metadata"]["name"])
                if found is not None:
                    yield found
        stock.close()

    def items(
        self,
        kind: Kind,
        accept: str,
        limit: int = PAGE,
        query: Iterable[tuple[str, str]] = (),
    ) -> Iterator[bytes | Object]:
        """The objects of a list, in protobuf still to be read, or as JSON has them.

        A page is read while the objects of the one before are looked at.
        """

        def read(answer: Answer, method: str, url: str) -> Object:
            if not answer.body.startswith(MAGIC):  # a proxy, say, that knows JSON only
                parsed: Object = parse(answer, method, url)
                return parsed
            try:
                return page_in(answer.body)
            except Broken as broken:
                raise unreadable(broken, answer.status, kind) from broken

        def key(entry: bytes | Object) -> str:
            return key_of_item(entry) if isinstance(entry, bytes) else key_of(entry)

        path = path_of(kind, self.namespace)
        pages = self.api.pages(path, query, accept=accept, limit=limit, read=read, key=key)
        try:
            for one in ahead(pages):
                items = one.get("items") or []
                del one
                items.reverse()
                while items:  # what was looked at is let go
                    item = items.pop()
                    if isinstance(item, dict):
                        item = {**item, "kind": kind.kind, "apiVersion": kind.api_version}
                    yield item
        except ApiError as error:
            raise unseen(error, kind.plural, "list", kind, self.namespace) from error

    def sketches(self, selector: str = "") -> Iterator[Sketch | Object]:
        """The pods that are looked at, still to be read where that is left to the caller."""
        reader = PodReader()
        kind = KINDS["Pod"]
        query = (("labelSelector", selector),) if selector else ()
        for item in self.items(kind, f"{PROTOBUF},{JSON}", PODS_IN_A_PAGE, query):
            try:
                yield reader.sketch(item) if isinstance(item, bytes) else item
            except Broken as broken:
                raise unreadable(broken, 200, kind) from broken


def unreadable(broken: Broken, code: int, kind: Kind) -> ServerError:
    """The error for a page that is not what it says."""
    return ServerError(f"a page of the list of {kind.plural} cannot be read: {broken}", code=code)


def without_managed_fields(page: Objects) -> Objects:
    """Events without the part that tells who wrote which field."""
    for thing in page:
        thing["metadata"].pop("managedFields", None)
    return page
