"""The World of a sweep: small lists are read once for all, and nothing grows with the cluster."""

import json
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator

from .admission import ROOT_CA_CONFIG_MAP
from .cluster import JSON, PAGE, Api, key_of, parse, path_of
from .env import Env
from .errors import ApiError, ServerError
from .failures import Answer
from .live import ClusterWorld, Objects, known_kind, unseen
from .pod_reader import MAGIC, PROTOBUF, Broken, PodReader, key_of_pod
from .world import KINDS, Kind, Object, Unseen, Want

# Kinds of which one list answers for all pods of a sweep. They are kept folded, a namespace at a
# time; what is larger than these (ConfigMaps, ReplicaSets) is read when it is asked for.
AT_ONCE = frozenset(("ServiceAccount", "Secret", "Role", "RoleBinding", "Service", "NetworkPolicy"))

# How many namespaces are open at once, and how much of what was read one by one is remembered.
# Pods come in the order of their namespaces and names, so those that ask for one thing are near
# each other.
OPEN = 2

# Pods are read bit by bit; the JSON of workloads becomes ten times as large when it is read.
PODS_IN_A_PAGE = 400
WHOLE_IN_A_PAGE = 100
LISTS = 4
SINGLES = 200

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

    def get(self, kind: str, namespace: str, name: str, api_version: str = "") -> Object | None:
        if self.in_scope(namespace) and known_kind(kind, api_version) is not None:
            if kind in AT_ONCE:
                return self.shelf(kind).open(namespace).get(name)
            if kind == "ConfigMap" and name == ROOT_CA_CONFIG_MAP:
                return self.shelf(kind, ONE_CONFIG_MAP).open(namespace).get(name)
        return super().get(kind, namespace, name, api_version)

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
        query = (("labelSelector", selector),) if selector else ()
        if kind == KINDS["Pod"] and not metadata:
            yield from self.pods(query)
            return
        limit = PAGE if metadata else WHOLE_IN_A_PAGE
        for page in self.pages(kind, self.namespace, query, metadata=metadata, limit=limit):
            yield from page

    def pods(self, query: Iterable[tuple[str, str]]) -> Iterator[Object]:
        """The pods that are looked at; a page is read while those of the one before are judged."""
        reader = PodReader()

        def read(answer: Answer, method: str, url: str) -> Object:
            if not answer.body.startswith(MAGIC):  # a proxy, say, that knows JSON only
                page: Object = parse(answer, method, url)
                return page
            try:
                return reader.page(answer.body)
            except Broken as broken:
                raise unreadable(broken, answer.status) from broken

        kind = KINDS["Pod"]
        pages = self.api.pages(
            path_of(kind, self.namespace),
            query,
            accept=f"{PROTOBUF},{JSON}",
            limit=PODS_IN_A_PAGE,
            read=read,
            key=lambda entry: key_of_pod(entry) if isinstance(entry, bytes) else key_of(entry),
        )
        try:
            for page in ahead(pages):
                items = page.get("items") or []
                del page
                items.reverse()
                while items:  # what was judged is let go
                    item = items.pop()
                    if isinstance(item, bytes):
                        try:
                            yield reader.pod(item)
                        except Broken as broken:
                            raise unreadable(broken, 200) from broken
                    else:
                        yield {**item, "kind": kind.kind, "apiVersion": kind.api_version}
        except ApiError as error:
            raise unseen(error, kind.plural, "list", kind, self.namespace) from error


def unreadable(broken: Broken, code: int) -> ServerError:
    """The error for a page that is not what it says."""
    return ServerError(f"a page of the list of pods cannot be read: {broken}", code=code)


def ahead(pages: Iterator[Object]) -> Iterator[Object]:
    """The pages, of which the next one is read by a thread while the caller is at this one."""
    reading = begin(pages)
    while (page := reading()) is not None:
        reading = begin(pages)
        yield page


def begin(pages: Iterator[Object]) -> Callable[[], Object | None]:
    """Starts to read a page; what is returned waits for it, and raises what went wrong."""
    outcome: list[Object | BaseException | None] = []

    def read() -> None:
        try:
            outcome.append(next(pages, None))
        except BaseException as error:  # for who waits
            outcome.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()

    def wait() -> Object | None:
        thread.join()
        page = outcome.pop()
        if isinstance(page, BaseException):
            raise page
        return page

    return wait


def without_managed_fields(page: Objects) -> Objects:
    """Events without the part that tells who wrote which field."""
    for thing in page:
        thing["metadata"].pop("managedFields", None)
    return page
