"""Pods in protobuf: read as JSON would have them, and never less than all of them."""

import json
import random
from typing import Any

import pytest

from kubectl_satoken.pod_reader import (
    BOOL,
    DEFERRED,
    INLINE,
    MAGIC,
    MAP,
    MESSAGE,
    NUMBER,
    OTHER,
    OUTLINES,
    SCHEMA,
    STRING,
    TIME,
    Broken,
    PodReader,
    Type,
    key_of_item,
    skipped,
    status_of,
    whole,
)
from kubectl_satoken.pod_reader import varint as number_at
from tests import pod_schema

Some = random.Random


# --- pods of every shape, and how Go would write them ---------------------------------------------


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


WORDS = ("", "a", "web", "kube-api-access-abcde", "ünïcode ☃", "x" * 200, '},"status":{')


def made(type_: Type, chance: Some, depth: int = 0) -> tuple[Any, bytes]:
    """A random message of a type: as JSON has it, and as protobuf does."""
    value: dict[str, Any] = {**type_.needed}
    data = b""
    for tag, one in sorted(type_.fields.items()):
        number = tag >> 3
        if one.code == INLINE:
            inner, encoded = made(one.sub, chance, depth + 1)
            value |= {key: part for key, part in inner.items() if part is not None or key in inner}
            data += field(number, encoded)
            continue
        if chance.random() < 0.3 + depth * 0.1:
            continue
        for _ in range(chance.randint(1, 2) if one.repeated else 1):
            if one.code == MAP:
                entry, encoded = scalar(one.sub, chance)
                value.setdefault(one.name, {})["key"] = entry
                data += field(number, field(1, b"key") + field(2, encoded))
                continue
            part, encoded = part_of(one, chance, depth)
            data += encoded if tag & 7 == 0 else field(number, encoded)
            if tag & 7 == 0:
                data = data[: -len(encoded)] + varint(tag) + encoded
            if one.repeated:
                value[one.name] = [*(value.get(one.name) or []), part]
            elif part or not one.omitted:
                value[one.name] = part
    return value, data


def part_of(one: Any, chance: Some, depth: int) -> tuple[Any, bytes]:
    if one.code in (MESSAGE, DEFERRED):
        return made(one.sub, chance, depth + 1)
    if one.code == STRING:
        return scalar("s", chance)
    if one.code == NUMBER:
        number = chance.choice((0, 1, -1, 127, 128, 3607, 2**31 - 1, -(2**63)))
        return number, varint(number)
    if one.code == BOOL:
        truth = chance.random() < 0.5
        return truth, varint(truth)
    if one.code == TIME:
        if chance.random() < 0.1:
            return None, b""
        return "2026-11-22T12:00:00Z", b"\x08" + varint(1795348800) + b"\x10\x00"
    assert one.code == OTHER
    kind = one.sub.__name__.removesuffix("_of")
    if kind == "template":
        return made(SCHEMA["PodSpec"], chance, depth + 1)
    return scalar(kind, chance)


def scalar(kind: str, chance: Some) -> tuple[Any, bytes]:
    if kind == "s":
        word = chance.choice(WORDS)
        return word, word.encode()
    if kind in ("Quantity", "quantity"):
        return "128Mi", field(1, b"128Mi")
    if kind == "int_or_string":
        if chance.random() < 0.5:
            return 8080, b"\x08\x00\x10" + varint(8080) + field(3, b"")
        return "http", b"\x08\x01\x10\x00" + field(3, b"http")
    if kind == "fields":
        return {"f:spec": {}}, field(1, b'{"f:spec":{}}')
    if kind == "bytes":
        return "AAE=", b"\x00\x01"
    assert kind == "micro_time", kind
    return "2026-11-22T12:00:00.000005Z", b"\x08" + varint(1795348800) + b"\x10" + varint(5000)


def pod(chance: Some) -> tuple[Any, bytes]:
    parts = [made(SCHEMA[name], chance) for name in ("ObjectMeta", "PodSpec", "PodStatus")]
    (metadata, one), (spec, two), (status, three) = parts
    value = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec}
    return {**value, "status": status}, field(1, one) + field(2, two) + field(3, three)


def page(pods: list[bytes], more: str = "") -> bytes:
    """A PodList in its envelope, as the API server sends it."""
    listed = field(1, field(1, b"") + field(2, b"17") + field(3, more.encode()))
    raw = listed + b"".join(field(2, one) for one in pods)
    about = field(1, b"v1") + field(2, b"PodList")
    return MAGIC + field(1, about) + field(2, raw) + field(3, b"") + field(4, b"")


def test_the_table_is_that_of_the_go_types() -> None:
    if not all((pod_schema.sources() / file).exists() for file in pod_schema.FILES):
        pytest.skip("the Go modules of Kubernetes are not here")
    assert pod_schema.TARGET.read_text() == pod_schema.module()


# --- what is read ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_all_fields_are_those_of_json(seed: int) -> None:
    chance = Some(seed)
    reader = PodReader()
    made_ = [pod(chance) for _ in range(5)]
    read = reader.page(page([data for _, data in made_], "next"))
    assert read["metadata"]["continue"] == "next"
    for (value, _), data in zip(made_, read["items"], strict=True):
        for _ in range(2):  # the second time the spec is known
            found = reader.pod(data)
            assert found == value
            assert json.loads(json.dumps(found)) == value
        names = value["metadata"]
        assert key_of_item(data) == f"{names.get('namespace', '')}/{names.get('name', '')}"


@pytest.mark.parametrize("kind", sorted(OUTLINES))
@pytest.mark.parametrize("seed", range(10))
def test_workloads_are_those_of_json_and_so_are_their_outlines(seed: int, kind: str) -> None:
    chance = Some(seed)
    for _ in range(3):
        value, data = made(SCHEMA[kind], chance)
        for _ in range(2):  # the second time the template is known
            assert whole(SCHEMA[kind], data) == value
        small = whole(OUTLINES[kind], data)
        assert small.get("status") == value.get("status")
        for part, names in (
            ("metadata", ("name", "namespace")),
            ("spec", ("replicas", "suspend")),
        ):
            inner = value.get(part)
            expected = {name: inner[name] for name in names if name in inner} if inner else inner
            assert small.get(part) == expected
        for end in range(len(data)):
            try:
                whole(SCHEMA[kind], data[:end])
            except Broken:
                continue


VARIED = {
    "metadata": {"name", "uid", "resourceVersion", "creationTimestamp", "managedFields"},
    "status": {"conditions", "hostIP", "podIP", "startTime", "podIPs", "hostIPs"},
}


@pytest.mark.parametrize("seed", range(60))
def test_sketches_have_one_key_if_nothing_differs_but_what_varies(seed: int) -> None:
    chance = Some(seed)
    reader = PodReader()
    (metadata, one), (_, three) = (
        made(SCHEMA[name], chance) for name in ("ObjectMeta", "PodStatus")
    )
    two = spec("kube-api-access-abcde", "n1")
    sketch = reader.sketch(field(1, one) + field(2, two) + field(3, three))
    assert sketch.name() == metadata.get("name", "")
    assert sketch.made() == (metadata.get("creationTimestamp") or "")
    for part, type_, data in (
        ("metadata", "ObjectMeta", one),
        ("status", "PodStatus", three),
    ):
        for tag, of in SCHEMA[type_].fields.items():
            if tag & 7 != 2:
                continue
            # the same message with another value for one of its fields, and without that
            every = fields(data)
            if all(number != tag for number, _ in every) or of.name in (
                "containerStatuses",
                "initContainerStatuses",
            ):
                continue
            new = field(tag >> 3, b"\x0a\x05other")
            other = b"".join(new if number == tag else raw for number, raw in every)
            without = b"".join(raw for number, raw in every if number != tag)
            keys = [
                reader.sketch(
                    b"".join(
                        field(number, {part: changed}.get(name, same))
                        for number, name, same in (
                            (1, "metadata", one),
                            (2, "spec", two),
                            (3, "status", three),
                        )
                    )
                ).key
                for changed in (other, without)
            ]
            varies = of.name in VARIED[part]
            assert (keys[0] == sketch.key) == varies, (part, of.name)
            assert varies or keys[1] != sketch.key, (part, of.name)


def fields(data: bytes) -> list[tuple[int, bytes]]:
    """The fields of a message: tag, and all of its bytes."""
    found = []
    at = 0
    while at < len(data):
        start = at
        tag, at = number_at(data, at)
        at = skipped(data, at, tag & 7)
        found.append((tag, data[start:at]))
    return found


def test_containers_vary_in_what_runs_and_since_when() -> None:
    def key(state: bytes, image: bytes = b"i", more: bytes = b"") -> Any:
        container = field(1, b"app") + field(2, state) + field(7, image) + field(8, image) + more
        status = field(1, b"Running") + field(8, container)
        return PodReader().sketch(field(1, field(1, b"a")) + field(2, b"") + field(3, status)).key

    running = key(field(2, field(1, b"\x08\x01")))
    assert running == key(field(2, field(1, b"\x08\x02")), b"other")
    assert running != key(field(1, b""))
    assert running != key(field(3, b""))
    assert running != key(b"")
    assert running != key(field(2, field(1, b"\x08\x01")), more=b"\x28\x05")


def spec(volume: str, node: str, argument: str = "") -> bytes:
    """A spec with a token volume."""
    mount = field(1, volume.encode()) + field(3, b"/token")
    container = field(1, b"app") + field(4, argument.encode()) + field(9, mount)
    data = field(1, field(1, volume.encode())) + field(2, container)
    return data + field(8, b"web") + field(10, node.encode()) + field(17, b"")


def test_specs_that_differ_in_volume_name_and_node_are_read_once_and_keep_both() -> None:
    reader = PodReader()
    read = [
        reader.pod(field(1, b"") + field(2, spec(f"kube-api-access-{end}", node)))
        for end, node in (("abcde", "n1"), ("fghij", "node-2"), ("klmno", ""))
    ]
    for one, (end, node) in zip(
        read, (("abcde", "n1"), ("fghij", "node-2"), ("klmno", None)), strict=True
    ):
        assert one["spec"]["volumes"][0]["name"] == f"kube-api-access-{end}"
        mounts = one["spec"]["containers"][0]["volumeMounts"]
        assert mounts[0]["name"] == f"kube-api-access-{end}"
        assert one["spec"].get("nodeName") == node
    assert len({one.like for one in read}) == 1
    assert read[0].like


def test_a_volume_name_that_stands_elsewhere_too_stays_there() -> None:
    reader = PodReader()
    for end in ("abcde", "fghij"):
        data = spec(f"kube-api-access-{end}", "n1", f"--look=kube-api-access-{end}")
        one = reader.pod(field(2, data))
        assert one["spec"]["containers"][0]["args"] == [f"--look=kube-api-access-{end}"]
        assert one["spec"]["volumes"][0]["name"] == f"kube-api-access-{end}"
        assert one.like == 0
    other = reader.pod(field(2, spec("kube-api-access-abcde", "n1", "kube-api-access-other")))
    assert other["spec"]["containers"][0]["args"] == ["kube-api-access-other"]


def test_fields_of_tomorrow_are_passed_over() -> None:
    data = field(1, field(1, b"a") + field(99, b"new") + varint(98 << 3) + b"\x05")
    data += field(77, b"new") + varint(500 << 3 | 5) + b"1234" + varint(501 << 3 | 1) + b"12345678"
    assert PodReader().pod(data)["metadata"] == {"name": "a"}


def test_a_list_that_is_read_later_is_a_list() -> None:
    chance = Some(3)
    value, data = pod(chance)
    while len(value["metadata"].get("managedFields") or []) < 2:
        value, data = pod(chance)
    expected = value["metadata"]["managedFields"]

    def later() -> Any:
        return PodReader().pod(data)["metadata"]["managedFields"]

    assert later() == expected
    assert [*later()] == expected
    assert list(reversed(later())) == expected[::-1]
    assert later()[0] == expected[0]
    assert len(later()) == len(expected)
    assert expected[0] in later()
    assert later() + [1] == [*expected, 1]
    assert [1] + later() == [1, *expected]
    assert later().copy() == expected
    assert later().index(expected[0]) == 0
    assert later().count(expected[0]) >= 1
    assert repr(later()) == repr(expected)
    assert json.dumps(later()) == json.dumps(expected)
    assert tuple(later()) == tuple(expected)
    assert bool(later())


# --- what does not add up -------------------------------------------------------------------------


def everything(body: bytes) -> list[Any]:
    reader = PodReader()
    return [reader.pod(data) for data in reader.page(body)["items"]]


def test_a_page_that_is_cut_off_fails_or_is_whole() -> None:
    chance = Some(1)
    pods = [pod(chance) for _ in range(3)]
    body = page([data for _, data in pods])
    for end in range(len(body)):
        try:
            found = everything(body[:end])
        except Broken:
            continue
        # what is missing is of the envelope, behind the list
        assert found == [value for value, _ in pods]


def test_bytes_that_flip_never_end_otherwise_than_in_a_list_or_a_clear_error() -> None:
    chance = Some(2)
    body = page([pod(chance)[1] for _ in range(2)])
    for _ in range(3000):
        damaged = bytearray(body)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            for one in everything(bytes(damaged)):
                repr(one)
        except (Broken, ValueError):
            continue


@pytest.mark.parametrize("body", [b"", b"k8s", b"{}", MAGIC, MAGIC + b"\x80" * 12, b"\x00" * 20])
def test_what_is_no_page(body: bytes) -> None:
    with pytest.raises(Broken):
        PodReader().page(body)


def test_the_status_of_an_error() -> None:
    data = field(1, field(3, b"again")) + field(2, b"Failure") + field(4, b"Expired")
    data += varint(6 << 3) + varint(410)
    assert status_of(MAGIC + field(2, data)) == {
        "metadata": {"continue": "again"},
        "status": "Failure",
        "reason": "Expired",
        "code": 410,
    }
