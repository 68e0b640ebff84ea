"""Pods and workloads out of a page of a list, in protobuf, as the same dicts JSON would make.

Protobuf costs the API server half of what JSON does, and here fields that nobody asked for are
skipped by their length. The numbers of fields are a promise of the API; unknown ones are passed
over. What does not add up raises Broken: nothing is ever left out silently.
"""

import json
from collections.abc import Callable
from time import gmtime, strftime
from typing import Any, NamedTuple

from .errors import ServerError
from .pod_schema import TYPES
from .world import Object

PROTOBUF = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"

# Pods of one workload have the same spec but for the name of their token volume, which ends in five
# random characters, and their node.
ACCESS = b"kube-api-access-"
RANDOM = 5
PLAIN = ACCESS + b"xxxxx"
CACHED = 4000  # times
SPECS = 1000  # some kilobytes each; pods come in the order of their names, so likes are near
NODE_NAME = 10 << 3 | 2

STRING, MESSAGE, NUMBER, BOOL, MAP, TIME, INLINE, DEFERRED, OTHER = range(9)
# Lists that are long, differ from pod to pod, and that no check of a healthy pod looks at.
SELDOM = {
    ("ObjectMeta", "managedFields"),
    ("PodStatus", "conditions"),
    ("PodStatus", "hostIPs"),
    ("PodStatus", "podIPs"),
    ("ContainerStatus", "volumeMounts"),
    ("ContainerStatus", "allocatedResourcesStatus"),
}
CODES = {"s": STRING, "i": NUMBER, "b": BOOL, "Time": TIME}


class Broken(ServerError):
    """A page that is cut off, or is not what it says."""


class Field:
    """How a field is read: its name, what it is, and what JSON does when it is empty."""

    __slots__ = ("code", "name", "omitted", "repeated", "sub")

    def __init__(self, name: str, code: int, sub: Any, repeated: bool, omitted: bool) -> None:
        self.name = name
        self.code = code
        self.sub = sub
        self.repeated = repeated
        self.omitted = omitted


class Type:
    """A message: its fields by tag, and those that are null in JSON when they are not there."""

    __slots__ = ("fields", "needed")

    def __init__(self) -> None:
        self.fields: dict[int, Field] = {}
        self.needed: Object = {}


def compiled(text: str) -> dict[str, Type]:
    """The table of types, ready to read by."""
    rows = {}
    for line in text.replace("\n  ", " ").splitlines():
        name, _, fields = line.partition(": ")
        rows[name] = fields.split("; ")
    types = {name: Type() for name in rows}
    for type_name, cells in rows.items():
        own = types[type_name]
        for cell in cells:
            number, name, kind = cell.split(" ")
            repeated = kind.startswith("*")
            plain = kind.strip("*?!")
            sub: Any = None
            wire = 2
            if name == "<":
                code, sub = INLINE, types[plain]
            elif plain in CODES:
                code = CODES[plain]
                wire = 0 if code in (NUMBER, BOOL) else 2
            elif plain.startswith("m:"):
                code, sub = MAP, plain[2:]
            elif plain in types:
                code, sub = MESSAGE, types[plain]
                if (type_name, name) in SELDOM:
                    code = DEFERRED
            else:
                code, sub = OTHER, OTHERS[plain]
            own.fields[int(number) << 3 | wire] = Field(
                name, code, sub, repeated, kind.endswith(("?", "?!"))
            )
            if kind.endswith("!"):
                own.needed[name] = None
    for type_name, cells in rows.items():
        for cell in cells:
            number, name, kind = cell.split(" ")
            if name == "<":  # what the inner type needs, the outer one does
                types[type_name].needed.update(types[kind].needed)
    return types


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise Broken("a number without end")


def skipped(data: bytes, at: int, wire: int) -> int:
    """Where a field of no interest ends."""
    if wire == 0:
        return varint(data, at)[1]
    if wire == 2:
        length, at = varint(data, at)
        return at + length
    if wire == 1:
        return at + 8
    if wire == 5:
        return at + 4
    raise Broken(f"wire type {wire}")


def read(data: bytes, at: int, end: int, type_: Type, into: Object | None = None) -> Object:
    """The message in a part of the data."""
    result: Object = {**type_.needed} if into is None else into
    fields = type_.fields
    while at < end:
        tag = data[at]
        at += 1
        if tag > 127:
            tag, at = varint(data, at - 1)
        field = fields.get(tag)
        if field is None:
            at = skipped(data, at, tag & 7)
            continue
        if tag & 7 == 0:
            value: Any = data[at]
            at += 1
            if value > 127:
                value, at = varint(data, at - 1)
                if value >= 1 << 63:
                    value -= 1 << 64
            if field.code == BOOL:
                value = value != 0
        else:
            length = data[at]
            at += 1
            if length > 127:
                length, at = varint(data, at - 1)
            start = at
            at += length
            if at > end:
                raise Broken("cut off")
            code = field.code
            if code == STRING:
                value = str(data[start:at], "utf-8", "replace")
            elif code == MESSAGE:
                value = read(data, start, at, field.sub)
            elif code == MAP:
                entries = result.get(field.name)
                if entries is None:
                    entries = result[field.name] = {}
                map_entry(data, start, at, field.sub, entries)
                continue
            elif code == TIME:
                value = time_of(data, start, at)
            elif code == INLINE:
                read(data, start, at, field.sub, result)
                continue
            elif code == DEFERRED:
                later = result.get(field.name)
                if later is None:
                    later = result[field.name] = Later(field.sub)
                later.waiting.append(data[start:at])
                continue
            else:
                value = field.sub(data, start, at)
        if field.repeated:
            found = result.get(field.name)
            if found is None:
                result[field.name] = [value]
            else:
                found.append(value)
        elif value or not field.omitted:
            result[field.name] = value
    if at != end:
        raise Broken("cut off")
    return result


def map_entry(data: bytes, at: int, end: int, kind: str, entries: Object) -> None:
    """An entry of a map of strings to strings, quantities or the like."""
    key = ""
    value: Any = "" if kind == "s" else None
    while at < end:
        tag = data[at]
        if tag not in (10, 18):
            at = skipped(data, at + 1, tag & 7)
            continue
        length, start = varint(data, at + 1)
        at = start + length
        if at > end:
            raise Broken("cut off")
        if tag == 10:
            key = str(data[start:at], "utf-8", "replace")
        elif kind == "s":
            value = str(data[start:at], "utf-8", "replace")
        else:
            value = OTHERS[kind](data, start, at)
    if at != end:
        raise Broken("cut off")
    entries[key] = value


def numbers(data: bytes, at: int, end: int) -> dict[int, Any]:
    """The fields of a small message by number, whatever they are."""
    found: dict[int, Any] = {}
    while at < end:
        tag, at = varint(data, at)
        if tag & 7 == 0:
            found[tag >> 3], at = varint(data, at)
        elif tag & 7 == 2:
            length, start = varint(data, at)
            at = start + length
            found[tag >> 3] = data[start:at]
        else:
            at = skipped(data, at, tag & 7)
    if at != end:
        raise Broken("cut off")
    return found


times: dict[bytes, str | None] = {}


def time_of(data: bytes, at: int, end: int) -> str | None:
    """A time as JSON has it: in seconds, in UTC; null where it is not set."""
    key = data[at:end]
    if key not in times:
        if len(times) > CACHED:
            times.clear()
        value = numbers(data, at, end).get(1, 0)
        if value >= 1 << 63:
            value -= 1 << 64
        text = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(value)) if key else None
        times[key] = text
    return times[key]


def micro_time_of(data: bytes, at: int, end: int) -> str | None:
    """A time in microseconds, as JSON has it."""
    if at == end:
        return None
    found = numbers(data, at, end)
    whole = strftime("%Y-%m-%dT%H:%M:%S", gmtime(found.get(1, 0)))
    return f"{whole}.{found.get(2, 0) // 1000:06}Z"


def quantity_of(data: bytes, at: int, end: int) -> str:
    """A quantity, which is text in either encoding."""
    return str(numbers(data, at, end).get(1, b""), "utf-8", "replace")


def int_or_string_of(data: bytes, at: int, end: int) -> int | str:
    """A port, say, by number or name."""
    found = numbers(data, at, end)
    if found.get(1):
        return str(found.get(3, b""), "utf-8", "replace")
    value = int(found.get(2, 0))
    return value - (1 << 64) if value >= 1 << 63 else value


def fields_of(data: bytes, at: int, end: int) -> Any:
    """FieldsV1: JSON in the midst of it."""
    return json.loads(numbers(data, at, end).get(1, b"null"))


def bytes_of(data: bytes, at: int, end: int) -> str:
    """Bytes, which JSON has in base64."""
    from base64 import b64encode

    return b64encode(data[at:end]).decode()


OTHERS: dict[str, Callable[[bytes, int, int], Any]] = {
    "MicroTime": micro_time_of,
    "Quantity": quantity_of,
    "IntOrString": int_or_string_of,
    "FieldsV1": fields_of,
    "B": bytes_of,
}


class Later(list[Any]):
    """A list that is read when somebody looks at it: managedFields are two fifths of a pod.

    Whatever could see the items goes through `fill`, which C code does by asking for an iterator.
    """

    def __init__(self, type_: Type) -> None:
        super().__init__()
        self.type = type_
        self.waiting: list[bytes] = []

    def fill(self) -> None:
        waiting, self.waiting = self.waiting, []
        try:
            self.extend(read(part, 0, len(part), self.type) for part in waiting)
        except (IndexError, ValueError, OverflowError, OSError) as error:
            raise Broken("a pod cannot be read: a part of it is cut off") from error

    def __iter__(self) -> Any:
        self.fill()
        return super().__iter__()

    def __len__(self) -> int:
        self.fill()
        return super().__len__()

    def __getitem__(self, index: Any) -> Any:
        self.fill()
        return super().__getitem__(index)

    def __eq__(self, other: object) -> bool:
        self.fill()
        return super().__eq__(other)

    __hash__ = None

    def __contains__(self, item: object) -> bool:
        self.fill()
        return super().__contains__(item)

    def __reversed__(self) -> Any:
        self.fill()
        return super().__reversed__()

    def __add__(self, other: Any) -> Any:
        return [*self] + other

    def __radd__(self, other: Any) -> Any:
        return other + [*self]

    def __repr__(self) -> str:
        self.fill()
        return super().__repr__()

    def copy(self) -> list[Any]:
        return [*self]

    def index(self, *arguments: Any) -> int:
        self.fill()
        return super().index(*arguments)

    def count(self, item: Any) -> int:
        self.fill()
        return super().count(item)


SCHEMA = compiled(TYPES)
POD, METADATA, STATUS = (SCHEMA[name] for name in ("Pod", "ObjectMeta", "PodStatus"))
SPEC = SCHEMA["PodSpec"]


class Spec(NamedTuple):
    """A spec that was seen: as it is read (None: each by itself), and a number for those like it.

    ``random`` is the name of its token volume, and ``node`` its node, in which they may differ.
    """

    known: Object | None
    number: int
    random: bytes
    node: str


class Specs:
    """Reads the specs of pods, each distinct one once."""

    def __init__(self) -> None:
        self.known: dict[bytes, tuple[Object | None, int]] = {}
        self.count = 0

    def find(self, data: bytes) -> Spec:
        """The spec of a pod, with the number that it shares with those like it; 0 for none."""
        node, plain = without_node(data)
        random = b""
        place = plain.find(ACCESS)
        if place >= 0:
            random = plain[place : place + len(PLAIN)]
            plain = plain.replace(random, PLAIN)
            if plain.count(ACCESS) != plain.count(PLAIN):
                return Spec(None, 0, random, node)
        found = self.known.get(plain)
        if found is None:
            spec: Object | None = read(plain, 0, len(plain), SPEC)
            if random and plain.count(ACCESS) != len(named(spec or {}, PLAIN.decode())):
                spec = None  # the name is somewhere else as well: in an argument, say
            if len(self.known) >= SPECS:
                self.known.clear()
            self.count += 1
            found = self.known[plain] = spec, self.count
        spec, number = found
        return Spec(spec, number if spec is not None else 0, random, node)

    def read(self, data: bytes, found: Spec) -> Object:
        """The spec itself. Inner parts are shared with other pods, so nobody may change them."""
        if found.known is None:
            return read(data, 0, len(data), SPEC)
        if found.random:
            spec = renamed(found.known, PLAIN.decode(), str(found.random, "utf-8"))
        else:
            spec = {**found.known}
        if found.node:
            spec["nodeName"] = found.node
        return spec


def without_node(data: bytes) -> tuple[str, bytes]:
    """The node of a spec, and the spec without it."""
    at, end = 0, len(data)
    while at < end:
        start = at
        tag = data[at]
        at += 1
        if tag > 127:
            tag, at = varint(data, start)
        text = at
        if tag & 7 == 2:
            length = data[at]
            at += 1
            if length > 127:
                length, at = varint(data, at - 1)
            text = at
            at += length
        else:
            at = skipped(data, at, tag & 7)
        if at > end:
            raise Broken("cut off")
        if tag == NODE_NAME:
            return str(data[text:at], "utf-8", "replace"), data[:start] + data[at:]
        if tag > NODE_NAME and tag >> 3 > 10:
            break  # Go writes the fields in their order
    return "", data


def named(spec: Object, name: str) -> list[Object]:
    """The volumes and mounts of a spec that go by a name."""
    found = [volume for volume in spec.get("volumes") or () if volume.get("name") == name]
    for field in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            found += [
                mount for mount in container.get("volumeMounts") or () if mount.get("name") == name
            ]
    return found


def renamed(spec: Object, old: str, new: str) -> Object:
    """A spec with another name for a volume and its mounts; what has neither is shared."""
    result = {**spec, "volumes": changed(spec.get("volumes") or [], old, new)}
    for field in ("containers", "initContainers", "ephemeralContainers"):
        if spec.get(field):
            result[field] = [
                {**one, "volumeMounts": changed(one["volumeMounts"], old, new)}
                if one.get("volumeMounts")
                else one
                for one in spec[field]
            ]
    return result


def changed(things: list[Object], old: str, new: str) -> list[Object]:
    """Volumes or mounts, with that of a name renamed."""
    return [{**one, "name": new} if one.get("name") == old else one for one in things]


class Pod(dict[str, Any]):
    """A pod, and the number of its spec, which those like it have, too (see likeness.py)."""

    __slots__ = ("like",)

    def __init__(self, fields: Object, like: int) -> None:
        super().__init__(fields)
        self.like = like


def outline(type_: Type, parts: dict[str, Any]) -> Type:
    """A type that has only these fields of another one (None: all of one), the quicker to read."""
    small = Type()
    for tag, field in type_.fields.items():
        if field.name not in parts:
            continue
        fields = parts[field.name]
        if fields is not None:
            sub = outline(field.sub, fields)
            field = Field(field.name, field.code, sub, field.repeated, field.omitted)
        small.fields[tag] = field
    return small


NAMES = {"name": None, "namespace": None}
OUTLINES = {
    kind: outline(
        SCHEMA[kind],
        {"metadata": NAMES, "spec": {"replicas": None, "suspend": None}, "status": None},
    )
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "Job")
}
# The metadata of what a controller made: of a ReplicaSet, say.
MADE = Type()
MADE.fields[1 << 3 | 2] = Field(
    "metadata",
    MESSAGE,
    outline(SCHEMA["ObjectMeta"], {**NAMES, "uid": None, "ownerReferences": None}),
    False,
    False,
)


TEMPLATES = 50
templates: dict[bytes, Object] = {}


def template_of(data: bytes, at: int, end: int) -> Object:
    """The spec in a template, of which many are the same. Nobody may change what is in it."""
    key = data[at:end]
    found = templates.get(key)
    if found is None:
        if len(templates) >= TEMPLATES:
            templates.clear()
        found = templates[key] = read(data, at, end, SPEC)
    return {**found}


SCHEMA["PodTemplateSpec"].fields[2 << 3 | 2] = Field("spec", OTHER, template_of, False, False)


def whole(type_: Type, data: bytes) -> Object:
    """An object, or its outline. Raises Broken."""
    try:
        return read(data, 0, len(data), type_)
    except (IndexError, ValueError, OverflowError, OSError) as error:
        raise Broken("cut off") from error


class PodReader:
    """Reads the pods of a list, page by page."""

    def __init__(self) -> None:
        self.specs = Specs()

    def page(self, body: bytes) -> Object:
        """A page as the list that JSON has, its pods still to be read. Raises Broken."""
        return page_in(body)

    def pod(self, data: bytes) -> Object:
        """A pod. Raises Broken."""
        return self.sketch(data).whole()

    def sketch(self, data: bytes) -> "Sketch":
        """A pod that is still to be read. Raises Broken."""
        try:
            metadata, spec, status = parts(data)
            own = self.specs.find(data[spec[0] : spec[1]])
            key = None
            if own.number:
                key = (
                    own.number,
                    steady(data, *metadata, VARYING_METADATA),
                    steady(data, *status, VARYING_STATUS),
                )
            return Sketch(self.specs, data, [metadata, spec, status], own, key)
        except (IndexError, ValueError, OverflowError, OSError) as error:
            raise Broken("cut off") from error


def parts(data: bytes) -> list[tuple[int, int]]:
    """Where metadata, spec and status of an object begin and end."""
    found = [(0, 0), (0, 0), (0, 0)]
    at, end = 0, len(data)
    while at < end:
        tag, at = varint(data, at)
        if tag & 7 != 2:
            at = skipped(data, at, tag & 7)
            continue
        length, start = varint(data, at)
        at = start + length
        if tag in (10, 18, 26):
            found[(tag >> 3) - 1] = start, at
    if at != end:
        raise Broken("cut off")
    return found


class Sketch:
    """A pod that is still to be read.

    ``key`` has all of it but what VARYING names, the node and the name of the token volume; None
    for a pod like no other.
    """

    __slots__ = ("data", "key", "own", "parts", "specs")

    def __init__(
        self, specs: Specs, data: bytes, parts: list[tuple[int, int]], own: Spec, key: Any
    ) -> None:
        self.specs = specs
        self.data = data
        self.parts = parts
        self.own = own
        self.key = key

    def whole(self) -> Object:
        """The pod. Raises Broken."""
        metadata, (start, end), status = self.parts
        try:
            return Pod(
                {
                    "metadata": read(self.data, *metadata, METADATA),
                    "spec": self.specs.read(self.data[start:end], self.own),
                    "status": read(self.data, *status, STATUS),
                    "kind": "Pod",
                    "apiVersion": "v1",
                },
                self.own.number,
            )
        except (IndexError, ValueError, OverflowError, OSError) as error:
            raise Broken("a pod in the list cannot be read: it is cut off") from error

    def name(self) -> str:
        """The name of the pod."""
        return str(numbers(self.data, *self.parts[0]).get(1, b""), "utf-8", "replace")

    def made(self) -> str:
        """When the pod was made."""
        time: bytes = numbers(self.data, *self.parts[0]).get(8, b"")
        return time_of(time, 0, len(time)) or ""


# In what the pods of a workload differ; an empty one stands for all of a field.
STATE: Object = {"running": {"startedAt": {}}}
ENDED: Object = {"terminated": {"startedAt": {}, "finishedAt": {}, "containerID": {}}}
VARYING: Object = {
    "metadata": dict.fromkeys(
        ("name", "uid", "resourceVersion", "creationTimestamp", "managedFields"), {}
    ),
    "status": {
        **dict.fromkeys(("conditions", "hostIP", "podIP", "startTime", "podIPs", "hostIPs"), {}),
        "containerStatuses": {"imageID": {}, "containerID": {}, "state": STATE},
        "initContainerStatuses": {"imageID": {}, "containerID": {}, "state": ENDED},
    },
}
Tags = dict[int, "Tags | None"]


def tags(type_: Type, names: Object) -> Tags:
    """The same by the tags of the fields."""
    return {
        tag: tags(field.sub, names[field.name]) if names[field.name] else None
        for tag, field in type_.fields.items()
        if field.name in names
    }


VARYING_METADATA = tags(METADATA, VARYING["metadata"])
VARYING_STATUS = tags(STATUS, VARYING["status"])


def steady(data: bytes, at: int, end: int, varying: Tags) -> tuple[Any, ...]:
    """A message without what varies: the parts between, and of each that varies in part its own."""
    parts: list[Any] = []
    run = at
    while at < end:
        start = at
        tag = data[at]
        at += 1
        if tag > 127:
            tag, at = varint(data, start)
        if tag & 7 == 0 and data[at] < 128:
            at += 1
            continue
        if tag & 7 != 2:
            at = skipped(data, at, tag & 7)
            continue
        length = data[at]
        at += 1
        if length > 127:
            length, at = varint(data, at - 1)
        inner = at
        at += length
        if tag in varying:
            if run < start:
                parts.append(data[run:start])
            below = varying[tag]
            if below is not None:
                if at > end:
                    raise Broken("cut off")
                parts += (tag, steady(data, inner, at, below))
            run = at
    if at != end:
        raise Broken("cut off")
    if run < end:
        parts.append(data[run:end])
    return tuple(parts)


def unknown(body: bytes) -> tuple[int, int]:
    """Where that begins and ends which is in the envelope of all of Kubernetes' protobuf.

    Raises Broken.
    """
    if not body.startswith(MAGIC):
        raise Broken("not protobuf")
    at, end = len(MAGIC), len(body)
    raw = None
    while at < end:
        tag, at = varint(body, at)
        if tag & 7 != 2:
            at = skipped(body, at, tag & 7)
            continue
        length, start = varint(body, at)
        at = start + length
        if tag == 18:
            raw = start, at
        elif tag == 26 and length:
            raise Broken("an envelope with something else")
    if at != end:
        raise Broken("cut off")
    if raw is None:
        raise Broken("an envelope with something else")
    return raw


def page_in(body: bytes) -> Object:
    """A page as the list that JSON has, its items still to be read. Raises Broken."""
    try:
        return page_of(body)
    except (IndexError, ValueError) as error:
        raise Broken("cut off") from error


def page_of(body: bytes) -> Object:
    """The page in a body."""
    at, end = unknown(body)
    data = body
    items: list[bytes] = []
    metadata: Object = {}
    while at < end:
        tag, at = varint(data, at)
        if tag & 7 != 2:
            at = skipped(data, at, tag & 7)
            continue
        length, start = varint(data, at)
        at = start + length
        if at > end:
            raise Broken("cut off")
        if tag == 18:
            items.append(data[start:at])
        elif tag == 10:
            found = numbers(data, start, at)
            for number, name in ((2, "resourceVersion"), (3, "continue")):
                metadata[name] = str(found.get(number, b""), "utf-8")
    if at != end:
        raise Broken("cut off")
    return {"metadata": metadata, "items": items}


def key_of_item(data: bytes) -> str:
    """What the server sorts a list by, of an object that is still to be read."""
    found = numbers(data, 0, len(data))
    metadata = found.get(1, b"")
    names = numbers(metadata, 0, len(metadata))
    return f"{str(names.get(3, b''), 'utf-8')}/{str(names.get(1, b''), 'utf-8')}"


def status_of(body: bytes) -> Object:
    """The Status that an error comes with, as JSON has it. Raises Broken."""
    try:
        return read(body, *unknown(body), ERRORS["Status"])
    except (IndexError, ValueError) as error:
        raise Broken("cut off") from error


ERRORS = compiled(
    """\
Status: 1 metadata ListMeta; 2 status s?; 3 message s?; 4 reason s?; 5 details StatusDetails;
  6 code i?
ListMeta: 2 resourceVersion s?; 3 continue s?
StatusDetails: 1 name s?; 2 group s?; 3 kind s?; 4 causes *StatusCause; 5 retryAfterSeconds i?;
  6 uid s?
StatusCause: 1 reason s?; 2 message s?; 3 field s?
"""
)
