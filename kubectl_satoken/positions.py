"""Where in the files an object stands, and a field of it: for formats that point at lines.

Reading remembers only which files there were. They are parsed once more, into nodes with their
marks, when the first position is asked for; most outputs never do.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .checks import Evidence, Finding
from .diagnosis import Name
from .manifests import SNAPSHOT, text_loader
from .world import KINDS


class Position(NamedTuple):
    """A place in a file: line and column from 1; the end only where it is on the same line."""

    file: str
    line: int
    column: int
    end: int | None = None


class Positions:
    """The places of the objects of some files, given as (path, text); no text: to be read again."""

    def __init__(self, files: Sequence[tuple[str, str | None]], namespace: str) -> None:
        self._files = files
        self._namespace = namespace
        self._nodes: dict[Name, tuple[str, Any]] | None = None

    def of(self, finding: Finding) -> Position | None:
        """Where the fault is; else where the object is that was asked about."""
        return self.place(finding.object, finding.target) or self.find(finding.target, "")

    def place(self, evidence: Evidence, target: Name) -> Position | None:
        """Where a piece of evidence is, if its object is in a file."""
        name = (evidence.kind, evidence.namespace, evidence.name)
        return self.find(name, evidence.path)

    def find(self, name: Name, path: str) -> Position | None:
        """Where a field of an object is, or the nearest to it that is there; None without it."""
        found = self._index().get(name)
        if found is None:
            return None
        file, root = found
        key, value, whole = walk(root, parts(path))
        start = key.start_mark
        end = value.end_mark
        same_line = whole and is_scalar(value) and end.line == start.line
        return Position(
            file, start.line + 1, start.column + 1, end.column + 1 if same_line else None
        )

    def _index(self) -> dict[Name, tuple[str, Any]]:
        if self._nodes is None:
            self._nodes = {}
            for file, text in self._files:
                for node in documents(file, text):
                    for kind, namespace, name, found in objects(node, ""):
                        if kind in KINDS and not KINDS[kind].namespaced:
                            namespace = ""
                        else:
                            namespace = namespace or self._namespace
                        self._nodes[kind, namespace, name] = file, found
        return self._nodes


def documents(file: str, text: str | None) -> Iterator[Any]:
    """The documents of a file as nodes; none when it can no longer be read."""
    import yaml

    try:
        if text is None:
            with open(file, encoding="utf-8") as opened:
                text = opened.read()
        yield from yaml.compose_all(text, Loader=text_loader())
    except (OSError, ValueError, yaml.YAMLError):
        return


def objects(node: Any, kind: str) -> Iterator[tuple[str, str, str, Any]]:
    """Kind, namespace, name and node of the objects in a node, Lists and snapshots opened."""
    own = text_of(child(node, "kind")) or kind
    items = child(node, "items")
    snapshot = (text_of(child(node, "apiVersion")), own) == SNAPSHOT
    if isinstance(getattr(items, "value", None), list) and (snapshot or own.endswith("List")):
        inner = "" if snapshot or own == "List" else own.removesuffix("List")
        for item in items.value:
            yield from objects(item, inner)
        return
    metadata = child(node, "metadata")
    name = text_of(child(metadata, "name"))
    generated = text_of(child(metadata, "generateName"))
    if own and (name or generated):
        yield own, text_of(child(metadata, "namespace")), name or f"{generated}*", node


def child(node: Any, field: str) -> Any:
    """The value of a field of a mapping; None where there is none."""
    found = entry(node, field)
    return found[1] if found else None


def entry(node: Any, field: str) -> tuple[Any, Any] | None:
    """The key and value of a field; an item of a sequence is its own key."""
    if is_scalar(node):
        return None
    pairs: Sequence[Any] = getattr(node, "value", None) or ()
    if getattr(node, "id", "") == "sequence":
        if field.isdigit() and int(field) < len(pairs):
            return pairs[int(field)], pairs[int(field)]
        return None
    # of keys that are there twice the last counts
    for key, value in reversed(pairs):
        if is_scalar(key) and key.value == field:
            return key, value
    return None


def is_scalar(node: Any) -> bool:
    """Whether a node is a plain value."""
    return getattr(node, "id", "") == "scalar"


def text_of(node: Any) -> str:
    """The text of a scalar; empty for anything else."""
    return str(node.value) if is_scalar(node) else ""


def walk(node: Any, path: Sequence[str]) -> tuple[Any, Any, bool]:
    """The key and value at the end of a path, or as far as it goes; whether it went to the end."""
    key = node
    for field in path:
        found = entry(node, field)
        if found is None:
            return key, node, False
        key, node = found
    return key, node, True


def parts(path: str) -> list[str]:
    """The fields of a path such as ``spec.volumes[0].name`` or ``metadata.annotations[a.b/c]``."""
    import re

    return [field or index for field, index in re.findall(r"([^.\[\]]+)|\[([^\]]*)\]", path)]
