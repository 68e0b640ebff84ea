"""The World from the API server."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from .cluster import CONNECTIONS, JSON, METADATA, PAGE, TABLE, Api, Read, begin, parse, path_of
from .env import Env
from .errors import ApiError, Forbidden, NotFound, ServerError, TooOld, Unauthorized
from .failures import Answer
from .world import KINDS, Kind, Object, Ref, Unseen, Want, known_kind

PATIENCE = 0.015  # seconds without an answer after which the other reads go out as well

# /openid/v1/jwks is of a type of its own, and of no other.
DOCUMENT = f"{JSON}, application/jwk-set+json"

# Objects in a page of roles or bindings, which are small, and of which nobody asks who wrote them;
# to the server a page is mostly the work of finding where it begins.
SMALL = 1000

Objects = list[Object]
Listed = dict[str, dict[str, Object]]  # namespace, name


class Outcome(NamedTuple):
    """What a read came to: a value, or the error to raise whenever it is asked for."""

    value: Any
    error: Exception | None = None


class ClusterWorld:
    """The World of a live cluster. What was read once is not read again."""

    source = "cluster"

    def __init__(self, api: Api, env: Env) -> None:
        self.api = api
        self.env = env
        self.flags: tuple[str, ...] = ()
        self.patience = PATIENCE
        self.memo: dict[tuple[str, Want], Outcome] = {}
        #: the short lists that are read as soon as one of their objects is asked for
        self.awaited: set[Want] = set()

    def now(self) -> float:
        """The time to judge by."""
        return self.env.now()

    def get(self, kind: str, namespace: str, name: str, api_version: str = "") -> Object | None:
        """The object, or None when it is not there. Raises Unseen, and what says that no read works
        (Unreachable, Unauthorized).

        A list that was read already answers, too.
        """
        known = known_kind(kind, api_version)
        if known is not None:
            # a Want of kind Event without a version is for the events about that name
            api_version = known.api_version if kind == "Event" else ""
            if not known.namespaced:
                namespace = ""
            for scope in (namespace, ""):
                want = Want(kind, scope, short=True)
                if want in self.awaited:
                    self.keep(want, self.attempt(want))
                listed = self.memo.get(("", Want(kind, scope)))
                if listed is not None and listed.error is None:
                    found: Object | None = listed.value.get(namespace, {}).get(name)
                    return found
        value: Object | None = self.recall(Want(kind, namespace, name), api_version)
        return value

    def list(self, kind: str, namespace: str = "", *, metadata: bool = False) -> Iterator[Object]:
        """All objects of a kind, of one namespace or (empty) of all. Raises Unseen before yielding.

        The pods of all namespaces are not kept, so that memory stays small.
        """
        everywhere = self.memo.get(("", Want(kind)))
        if everywhere is None and kind == "Pod" and not namespace:
            return self.stream(KINDS[kind])
        if everywhere is not None and everywhere.error is None and namespace:
            return iter([*everywhere.value.get(namespace, {}).values()])
        if metadata and ("", Want(kind, namespace)) not in self.memo:
            return flat(self.recall(Want(kind, namespace, metadata=True)))
        return flat(self.recall(Want(kind, namespace)))

    def events(self, namespace: str, name: str) -> Iterator[Object]:
        """The events about the objects of that name. Raises Unseen."""
        return flat(self.recall(Want("Event", namespace, name)))

    def text(self, path: str) -> Object | None:
        """A non-resource document. Raises Unseen."""
        value: Object | None = self.recall(Want("", "", path))
        return value

    def applied_before(self, one: Object, other: Object) -> bool:
        """No order: both are stored."""
        return False

    def prepare(self, wants: Iterable[Want]) -> None:
        """Reads what will be asked for, where that is quicker. Never raises: errors wait.

        The first read goes out alone. When its answer takes longer than the patience, the server is
        far, and the others go out at once on connections of their own: one round of waiting for
        all. When it is quick, the others are left for whoever asks, on the same connection: to a
        near server the TLS handshakes are the dear part, and some reads turn out not to be needed.
        """
        todo = deque(want for want in dict.fromkeys(wants) if not self.expects(want))
        self.awaited.update(want for want in todo if want.short)
        if len(todo) < 2:
            return
        answers: SimpleQueue[tuple[Want, Outcome]] = SimpleQueue()
        pending = set(todo)
        far = threading.Event()

        def take() -> None:
            while todo:
                try:
                    want = todo.popleft()
                except IndexError:  # another thread was quicker
                    return
                answers.put((want, self.attempt(want)))
                if not far.is_set():
                    return

        def start(threads: int) -> None:
            for _ in range(threads):
                threading.Thread(target=take, daemon=True).start()

        start(1)
        since = idle_clock()
        while pending:
            left = None if far.is_set() else self.patience - (idle_clock() - since)
            if left is not None and left <= 0:
                far.set()
                start(min(len(todo), CONNECTIONS - 1))
                continue
            try:
                want, outcome = answers.get(timeout=left)
            except Empty:
                continue
            pending.discard(want)
            self.keep(want, outcome)
            if outcome.error is not None and not isinstance(outcome.error, Unseen):
                # no read will fare better, so nobody waits for the others to find that out
                todo.clear()
                for other in pending:
                    self.memo["", other] = outcome
                return
            if not far.is_set():
                return

    # --- below: reading

    def expects(self, want: Want) -> bool:
        """Whether a read was done, or a list answers it or will."""
        if ("", want) in self.memo or not (want.name or want.short):
            return ("", want) in self.memo
        for scope in (want.namespace, ""):
            listed = self.memo.get(("", Want(want.kind, scope)))
            if listed is not None and listed.error is None:
                return True
            if Want(want.kind, scope, short=True) in self.awaited:
                return True
        return False

    def keep(self, want: Want, outcome: Outcome) -> None:
        """Remembers what a read came to; a short list that was read is a list as any other."""
        self.awaited.discard(want)
        if want.short and outcome.error is None:
            want = want._replace(short=False)
        self.memo["", want] = outcome

    def recall(self, want: Want, api_version: str = "") -> Any:
        key = (api_version, want)
        if key not in self.memo:
            self.memo[key] = self.attempt(want, api_version)
        outcome = self.memo[key]
        if outcome.error is not None:
            raise outcome.error.with_traceback(None)
        return outcome.value

    def attempt(self, want: Want, api_version: str = "") -> Outcome:
        try:
            return Outcome(self.read(want, api_version))
        except Exception as error:
            return Outcome(None, error)

    def read(self, want: Want, api_version: str = "") -> Any:
        if not want.kind:
            return self.read_document(want.name)
        if want.kind == "Event" and want.name and not api_version:
            about = [("fieldSelector", f"involvedObject.name={want.name}")]
            return by_name(self.pages(KINDS["Event"], want.namespace, about))
        kind = self.kind(want.kind, api_version)
        if kind is None:
            if want.name:
                return None
            raise Unseen(want.kind, "this cluster has no such type")
        if want.name:
            return self.read_object(kind, want.namespace, want.name)
        if want.short:
            return self.read_short(kind, want.namespace)
        return by_name(self.pages(kind, want.namespace, metadata=want.metadata))

    def kind(self, kind: str, api_version: str) -> Kind | None:
        """The resource type of a kind. Raises Unseen when discovery fails."""
        known = known_kind(kind, api_version)
        if known is not None:
            return known
        from . import discovery

        try:
            return discovery.of_kind(self.api, kind, api_version)
        except ApiError as error:
            raise unseen(error, kind, "get", Kind("", "", "/apis", False), "") from error

    def read_object(self, kind: Kind, namespace: str, name: str) -> Object | None:
        what = str(Ref(kind.kind, namespace, name))
        secret = kind == KINDS["Secret"]
        try:
            thing: Object = self.api.request(
                "GET", path_of(kind, namespace, name), accept=TABLE if secret else JSON
            )
        except (NotFound, TooOld):
            return None
        except ApiError as error:
            raise unseen(error, what, "get", kind, namespace) from error
        if not secret:
            return thing
        rows = secrets_of(thing)
        return rows[0] if rows else None

    def read_short(self, kind: Kind, namespace: str) -> Listed:
        """A list of one page. Of a longer one nothing is parsed, and Unseen raised."""
        page = next(self.unopened(kind, namespace))
        if (page["metadata"] or {}).get("continue"):
            raise Unseen(kind.plural, "their list is long")
        return by_name([self.opened(kind, page)])

    def read_document(self, path: str) -> Object | None:
        try:
            document: Object = self.api.request("GET", path, accept=DOCUMENT)
        except (NotFound, TooOld):
            return None
        except ApiError as error:
            raise unseen(error, path, "get", Kind("", "", path, False), "") from error
        return document

    def pages(
        self,
        kind: Kind,
        namespace: str,
        query: Iterable[tuple[str, str]] = (),
        *,
        metadata: bool = False,
        limit: int = PAGE,
    ) -> Iterator[Objects]:
        """The objects of a list, page by page, each with the kind that lists leave out."""
        secret = kind == KINDS["Secret"]
        path = path_of(kind, namespace)
        accept = TABLE if secret else METADATA if metadata else JSON
        read: Read | None = None
        if kind.group == KINDS["Role"].group and not metadata:
            limit, read = SMALL, parse_lean
        try:
            for page in self.api.pages(path, query, accept=accept, limit=limit, read=read):
                if secret:
                    yield secrets_of(page)
                    continue
                yield [
                    {**item, "kind": kind.kind, "apiVersion": kind.api_version}
                    for item in page.get("items") or ()
                ]
        except ApiError as error:
            raise unseen(error, kind.plural, "list", kind, namespace) from error

    def unopened(self, kind: Kind, namespace: str, limit: int = PAGE) -> Iterator[Object]:
        """The pages of a list as they come, for `opened`: so the next one can be asked for before
        this one is parsed. Raises Unseen.

        Of a list that had to be begun anew all is yielded again.
        """
        try:
            yield from self.api.pages(path_of(kind, namespace), limit=limit, read=unopened)
        except ApiError as error:
            raise unseen(error, kind.plural, "list", kind, namespace) from error

    def opened(self, kind: Kind, page: Object) -> Objects:
        """The objects of a page, each with the kind that lists leave out. Raises Unseen."""
        try:
            whole = page["whole"] or parse_lean(*page.pop("answer"))
        except ApiError as error:
            raise unseen(error, kind.plural, "list", kind, "") from error
        items: Objects = whole.get("items") or []
        for item in items:
            item["kind"], item["apiVersion"] = kind.kind, kind.api_version
        return items

    def stream(
        self, kind: Kind, namespace: str = "", limit: int = PAGE, *, metadata: bool = False
    ) -> Iterator[Object]:
        """The objects of a list, of which none is kept. Raises Unseen, even midway."""
        pages = self.pages(kind, namespace, metadata=metadata, limit=limit)
        first = next(pages, [])  # now, so that Unseen is raised here

        def rest() -> Iterator[Object]:
            yield from first
            for page in pages:
                yield from page

        return rest()


# How the API server begins a list in JSON: its metadata stand before the items.
HEAD = rb'\{"kind":"\w+","apiVersion":"[^"]+","metadata":(\{[^{}]*\}),"items":\['


def unopened(answer: Answer, method: str, url: str) -> Object:
    """A page of which only the metadata were read, or all where it does not begin as it should."""
    import json
    import re

    head = re.match(HEAD, answer.body)
    if head is None:
        whole = parse(answer, method, url)
        return {"metadata": whole.get("metadata"), "whole": whole}
    return {"metadata": json.loads(head[1]), "whole": None, "answer": (answer, method, url)}


# Who wrote which field is half of a small object, and the last that its metadata have.
MANAGED = rb',"managedFields":\[[^]]*\](?=})'


def parse_lean(answer: Answer, method: str, url: str) -> Any:
    """The JSON of an answer without the managed fields. Raises ServerError."""
    import re

    try:
        return parse(answer._replace(body=re.sub(MANAGED, b"", answer.body)), method, url)
    except ServerError:  # a writer may be called "a]}", of which the half is left over
        return parse(answer, method, url)


def ahead(pages: Iterator[Any]) -> Iterator[Any]:
    """The pages, of which the next one is read by a thread while the caller is at this one."""
    reading = begin(lambda: next(pages, None))
    while (page := reading()) is not None:
        reading = begin(lambda: next(pages, None))
        yield page


def idle_clock() -> float:
    """Seconds that this process has not been computing: waiting, that is, for an answer.

    The wall clock alone would take our own loading of modules for a slow network.
    """
    return time.monotonic() - time.process_time()


def by_name(pages: Iterable[Objects]) -> Listed:
    listed: Listed = {}
    for page in pages:
        for thing in page:
            metadata = thing.get("metadata") or {}
            listed.setdefault(metadata.get("namespace", ""), {})[metadata.get("name", "")] = thing
    return listed


def flat(listed: Listed) -> Iterator[Object]:
    return (thing for things in listed.values() for thing in things.values())


def secrets_of(table: Object) -> list[Object]:
    """Secrets from a server-side table: metadata, type and the number of keys, no values.

    kubectl apply leaves a copy of the whole object in an annotation, and OpenShift one of the
    token; they are dropped at once.
    """
    from .token_secrets import VALUE_ANNOTATIONS

    columns = [column.get("name") for column in table.get("columnDefinitions") or ()]
    if table.get("kind") != "Table" or "Type" not in columns or "Data" not in columns:
        raise Unseen("secrets", "the server does not list them without their values")
    kind, data = columns.index("Type"), columns.index("Data")
    secrets = []
    for row in table.get("rows") or ():
        metadata = (row.get("object") or {}).get("metadata") or {}
        annotations = metadata.get("annotations") or {}
        for key in VALUE_ANNOTATIONS:
            annotations.pop(key, None)
        secrets.append(
            {
                "kind": "Secret",
                "apiVersion": "v1",
                "metadata": metadata,
                "type": row["cells"][kind],
                "dataCount": int(row["cells"][data]),
            }
        )
    return secrets


def unseen(error: ApiError, what: str, verb: str, kind: Kind, namespace: str) -> Unseen | ApiError:
    """Why something could not be looked at. Unauthorized stays: no read would fare better."""
    if isinstance(error, Unauthorized):
        return error
    if isinstance(error, Forbidden):
        where = ""
        if kind.namespaced:
            where = f" in namespace {namespace}" if namespace else " in all namespaces"
        return Unseen(what, f"forbidden to you: needs {verb} {kind.plural}{where}")
    if isinstance(error, TooOld):
        return Unseen(what, "this cluster does not serve them")
    return Unseen(what, error.message)
