"""Edits of YAML and JSON that keep the text as it is: comments, order, quotes, indentation.

The text is not written anew from what was read. The places where it differs from what is wanted are
put right, it is read again, and so on until it says what is wanted; so whatever an edit does not
touch stays as it is to the byte, and a result that says anything else is none.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from .manifests import text_loader

# More rounds than any conversion needs: what goes on for longer does not come to an end.
MOST_ROUNDS = 100

# Parts of a document with its aliases written out: none that is written by hand has so many.
LARGEST = 1_000_000


class NotEditable(Exception):
    """A text that cannot be edited in place; why, in words."""


class NotYaml(Exception):
    """A text that cannot be read: ``line`` from 1 (0: not known), and why, in words."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(why)
        self.line = line


def not_yaml(error: Exception) -> NotYaml:
    """Why a text cannot be read, without a word of it."""
    mark = getattr(error, "problem_mark", None)
    # what is quoted is of the text, which may hold a secret
    why = re.sub(r"(['\"]).*\1", "...", getattr(error, "problem", None) or "not YAML")
    return NotYaml(why, mark.line + 1 if mark else 0)


class Edit(NamedTuple):
    """What stands in a text in the place of what is there from one index to another."""

    start: int
    end: int
    text: str


def documents(text: str) -> list[str]:
    """A text cut into its documents; what comes before the first is a part of it.

    Together they are the text. Raises NotYaml.
    """
    import yaml

    starts: list[int] = []
    try:
        for event in yaml.parse(text, Loader=text_loader()):
            if isinstance(event, yaml.DocumentStartEvent) and event.start_mark:
                starts.append(event.start_mark.index)
    except yaml.YAMLError as error:
        raise not_yaml(error) from error
    bounds = [0, *starts[1:], len(text)]
    return [text[start:end] for start, end in zip(bounds, bounds[1:], strict=False)]


def compose(text: str) -> Any:
    """The root node of a document; None for an empty one. Raises NotYaml."""
    import yaml

    try:
        return yaml.compose(text, Loader=text_loader())
    except (yaml.YAMLError, RecursionError) as error:
        raise not_yaml(error) from error


def value_of(text: str) -> Any:
    """What a document says. Raises NotYaml."""
    import yaml

    if "*" in text and "&" in text and size(compose(text), {}) > LARGEST:
        raise NotYaml("aliases that make it too large")
    try:
        return yaml.load(text, Loader=text_loader())
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise not_yaml(error) from error


def size(node: Any, known: dict[int, int]) -> int:
    """How many parts a node has with all its aliases written out. Raises NotYaml."""
    if node is None or node.id == "scalar":
        return 1
    if known.get(id(node)) == 0:
        raise NotYaml("an alias of what it is in")
    if id(node) not in known:
        known[id(node)] = 0
        pairs = node.id == "mapping"
        inner = [one for pair in node.value for one in pair] if pairs else node.value
        known[id(node)] = 1 + sum(size(one, known) for one in inner)
    return known[id(node)]


class Style(NamedTuple):
    """How a text is written: ``line_break``; by how much JSON is indented (0: it is on one line,
    None: it is no JSON); whether lists are indented below their field."""

    text: str
    line_break: str
    json_step: int | None
    indented: bool


def edited(text: str, wanted: Any) -> str:
    """A document that says what is wanted, else as it is. Raises NotEditable."""
    seen: set[str] = set()
    while text not in seen and len(seen) < MOST_ROUNDS:
        seen.add(text)
        try:
            value = value_of(text)
            if value == wanted:
                return text
            root = compose(text)
        except NotYaml:
            break
        if root is None:
            break
        at = len(text)
        for edit in sorted(differences(style_of(text, root), root, value, wanted), reverse=True):
            if edit.end <= at:  # else it is for the next round
                text = text[: edit.start] + edit.text + text[edit.end :]
                at = edit.start
    raise NotEditable("anchors or another unusual style of YAML")


# --- where a text differs from what is wanted -----------------------------------------------------


def differences(style: Style, node: Any, value: Any, wanted: Any) -> Iterator[Edit]:
    """The edits that bring a node nearer to what is wanted, of each map and list at most one.

    ``value`` is what the node says.
    """
    if value == wanted:
        return
    if isinstance(value, dict) and isinstance(wanted, dict):
        yield from in_mapping(style, node, value, wanted)
    elif isinstance(value, list) and isinstance(wanted, list):
        yield from in_sequence(style, node, value, wanted)
    else:
        yield Edit(node.start_mark.index, end_of(node), rendered(style, node, wanted))


def in_mapping(
    style: Style, node: Any, value: dict[str, Any], wanted: dict[str, Any]
) -> Iterator[Edit]:
    """The edits of a map: a field that goes gives its place to one that comes."""
    new = [key for key in wanted if key not in value]
    gone = []
    for index, (key, inner) in enumerate(node.value):
        # what is merged (<<), or no word, is not looked at: what is not right in the end is told
        if key.value in value and key.value in wanted:
            yield from differences(style, inner, value[key.value], wanted[key.value])
        elif key.value in value:
            gone.append(index)
    if gone and new:
        key, inner = node.value[gone[0]]
        pair = {new[0]: wanted[new[0]]}
        yield Edit(key.start_mark.index, end_of(inner), rendered(style, node, pair, key))
    elif gone:
        parts = [(key, end_of(inner)) for key, inner in node.value]
        yield without(style.text, node, gone[0], parts)
    elif new:
        raise NotEditable(f"a field {new[0]} that nothing gives its place to")


def in_sequence(style: Style, node: Any, value: list[Any], wanted: list[Any]) -> Iterator[Edit]:
    """The edits of a list, whose entries are told apart by their names where they have any."""
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(None, identities(value), identities(wanted), autojunk=False)
    own: list[Edit] = []
    for what, start, end, first, last in matcher.get_opcodes():
        if what == "equal" or (what == "replace" and end - start == last - first):
            entries = zip(node.value[start:end], value[start:end], wanted[first:last], strict=True)
            for item, entry, other in entries:
                yield from differences(style, item, entry, other)
        elif what == "delete":
            own.append(
                without(style.text, node, start, [(item, end_of(item)) for item in node.value])
            )
        elif what == "replace":
            item = node.value[start]
            texts = [rendered(style, node, entry, item) for entry in wanted[first:last]]
            text = between(style, node).join(texts)
            own.append(Edit(item.start_mark.index, end_of(item), text))
        elif not own:
            raise NotEditable("an entry of a list that takes no other's place")
    yield from own[:1]


def identities(entries: list[Any]) -> list[str]:
    """By what the entries of a list are told apart."""
    for fields in (("mountPath",), ("name",)):
        if all(isinstance(one, dict) and all(one.get(f) for f in fields) for one in entries):
            found = [str([one[field] for field in fields]) for one in entries]
            if len(set(found)) == len(found):
                return found
    return [json.dumps(one, sort_keys=True, default=str) for one in entries]


# --- text -----------------------------------------------------------------------------------------


def end_of(node: Any) -> int:
    """Where a node ends: the mark of one in block style lies after the comments that follow it."""
    if node.id == "scalar" or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return end_of(last[1] if node.id == "mapping" else last)


def without(text: str, node: Any, index: int, parts: list[tuple[Any, int]]) -> Edit:
    """The edit that takes out a field or an entry; ``parts`` are all, as node and where it ends."""
    part, end = parts[index]
    start = part.start_mark.index
    if not node.flow_style:
        line = text.rfind("\n", 0, start) + 1
        before = text[line:start].strip()
        if not before or (node.id == "sequence" and before == "-"):
            # whole lines, with what is said of it behind it
            after = text.find("\n", max(end - 1, start))
            return Edit(line, len(text) if after < 0 else after + 1, "")
    if index + 1 < len(parts):
        return Edit(start, parts[index + 1][0].start_mark.index, "")
    if index:
        return Edit(parts[index - 1][1], end, "")
    return Edit(start, end, "" if node.flow_style else "{}")


def between(style: Style, node: Any) -> str:
    """What stands between two entries of a list."""
    if not node.flow_style:
        return f"{style.line_break}{' ' * node.start_mark.column}- "
    if len(node.value) > 1:
        return style.text[end_of(node.value[0]) : node.value[1].start_mark.index]
    if "\n" in style.text[node.start_mark.index : node.end_mark.index]:
        return f",{style.line_break}{' ' * node.value[0].start_mark.column}"
    return ", "


def rendered(style: Style, within: Any, value: Any, at: Any = None) -> str:
    """A value as the text has others: in block style, in flow style, or as JSON.

    ``within`` is the node that it is for; ``at`` is what it takes the place of, if that is a part
    of the node. A map in the place of a field is written without braces.
    """
    import yaml

    flow = bool(getattr(within, "flow_style", False))
    as_field = at is not None and within.id == "mapping"
    if flow and style.json_step is not None:
        step = style.json_step
        out = json.dumps(value, indent=step or None, ensure_ascii=False)
        if as_field:
            out = out[1:-1].strip().replace("\n" + " " * step, "\n")
    else:
        out = yaml.dump(
            value,
            Dumper=indented_dumper() if style.indented else yaml.SafeDumper,
            default_flow_style=flow,
            sort_keys=False,
            width=float("inf"),
            allow_unicode=True,
        )
        out = out.removesuffix("...\n").rstrip("\n")
        if as_field and flow:
            out = out[1:-1]
    column = (at or within).start_mark.column
    return out.replace("\n", style.line_break + " " * column)


def style_of(text: str, root: Any) -> Style:
    """How a text is written."""
    step = None
    with suppress(ValueError):
        json.loads(text)
        margins = (len(line) - len(line.lstrip(" ")) for line in text.splitlines())
        step = next(filter(None, margins), 0)
    return Style(text, "\r\n" if "\r\n" in text else "\n", step, is_indented(root))


def is_indented(node: Any) -> bool:
    """Whether lists are indented below their field, by the first that is one."""
    stack = [node]
    while stack:
        here = stack.pop()
        if here.id == "mapping":
            for key, value in here.value:
                if value.id == "sequence" and not value.flow_style and value.value:
                    return bool(value.start_mark.column > key.start_mark.column)
            stack += [value for _, value in reversed(here.value)]
        elif here.id == "sequence":
            stack += reversed(here.value)
    return False


def indented_dumper() -> Any:
    """A dumper that indents lists below their field, which PyYAML's own does not."""
    import yaml

    class Indented(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    return Indented
