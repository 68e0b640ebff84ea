"""Changes of objects that can be made, made again and taken back, whatever else has changed since.

A merge patch that was computed once would write whole lists, and with them what others have changed
in the meantime. So a change names one field or one entry of a list, what stands there before and
after; the merge patch is made of the object as it is when it is sent.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .world import Object

ABSENT = None  # a field or an entry that is not there: null is none in Kubernetes' objects


class Key(NamedTuple):
    """An entry of a list, by a field that tells the entries apart: the container called app."""

    field: str
    value: str

    def __str__(self) -> str:
        return f"[{self.field}={self.value}]"


Path = tuple[str | Key, ...]


class Change(NamedTuple):
    """One field or entry, with what stands there before and after (None: nothing).

    ``place`` is where in its list an entry goes that is put back.
    """

    path: Path
    before: Any
    after: Any
    place: int = 0

    def back(self) -> "Change":
        """The change that takes this one back."""
        return Change(self.path, self.after, self.before, self.place)

    def below(self, *path: str | Key) -> "Change":
        """The same change of an object that has this one's object at a path."""
        return self._replace(path=(*path, *self.path))


class Moved(Exception):
    """An object that is neither as before a change nor as after it: somebody else was there.

    ``path`` is where, in words.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is not what it was")
        self.path = path


def text(path: Path) -> str:
    """A path in words: ``spec.volumes[name=token]``."""
    words = ""
    for part in path:
        words += str(part) if isinstance(part, Key) or not words else f".{part}"
    return words


def undone(changes: Iterable[Change]) -> tuple[Change, ...]:
    """What takes some changes back, the last first."""
    return tuple(change.back() for change in reversed(tuple(changes)))


def joined(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Changes of which there is one for each place; those that follow one another are one."""
    found: dict[Path, Change] = {}
    for change in changes:
        first = found.get(change.path)
        found[change.path] = change if first is None else first._replace(after=change.after)
    return tuple(found.values())


def changed(item: Object, changes: Iterable[Change]) -> Object:
    """A copy of an object with the changes made; those that it has already stay as they are.

    Raises Moved where it is neither as before nor as after.
    """
    for change in changes:
        item = with_change(item, change, change.path)
    return item


def with_change(here: Any, change: Change, path: Path) -> Any:
    """What stands below a path, with a change made in it; nothing is changed in place."""
    part, rest = path[0], path[1:]
    if isinstance(part, Key):
        return with_entry([] if here is None else here, change, part, rest)
    fields = {} if here is None else here
    if not isinstance(fields, dict):
        raise Moved(text(change.path))
    value = (
        settled(fields.get(part), change)
        if not rest
        else with_change(fields.get(part), change, rest)
    )
    nothing = rest and value == {} and part not in fields
    if value is ABSENT or value == [] or nothing:
        return {key: one for key, one in fields.items() if key != part}
    return {**fields, part: value}


def with_entry(entries: Any, change: Change, key: Key, rest: Path) -> list[Any]:
    """A list with a change made to, or in, the one entry of a key."""
    if not isinstance(entries, list):
        raise Moved(text(change.path))
    found = [
        index
        for index, entry in enumerate(entries)
        if isinstance(entry, dict) and entry.get(key.field) == key.value
    ]
    if len(found) > 1 or (rest and not found):
        raise Moved(text(change.path))
    if rest:
        value = with_change(entries[found[0]], change, rest)
    else:
        value = settled(entries[found[0]] if found else ABSENT, change)
    if not found:
        place = min(change.place, len(entries))
        return entries if value is ABSENT else [*entries[:place], value, *entries[place:]]
    kept = [] if value is ABSENT else [value]
    return [*entries[: found[0]], *kept, *entries[found[0] + 1 :]]


def settled(value: Any, change: Change) -> Any:
    """What stands at the place of a change after it. Raises Moved."""
    if value in (change.before, change.after):
        return change.after
    raise Moved(text(change.path))


def is_made(item: Object, changes: Iterable[Change]) -> bool:
    """Whether an object has all changes already."""
    try:
        return changed(item, changes) == item
    except Moved:
        return False


def merge_patch(old: Object, new: Object) -> Object:
    """The JSON merge patch (RFC 7386) that makes one object of another; lists go as a whole."""
    patch: Object = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if before == value:
            continue
        if isinstance(before, dict) and isinstance(value, dict):
            value = merge_patch(before, value)
        patch[key] = value
    return patch


def fields_of(changes: Sequence[Change]) -> tuple[str, ...]:
    """Where the changes are, in words, each once."""
    return tuple(dict.fromkeys(text(change.path) for change in changes))


def as_json(changes: Iterable[Change]) -> list[Object]:
    """Changes as JSON can have them."""
    return [
        {
            "path": [part if isinstance(part, str) else list(part) for part in change.path],
            "before": change.before,
            "after": change.after,
            "place": change.place,
        }
        for change in changes
    ]


def from_json(lines: Iterable[Object]) -> tuple[Change, ...]:
    """The changes that ``as_json`` has written. Raises ValueError for anything else."""
    try:
        return tuple(
            Change(
                tuple(part if isinstance(part, str) else Key(*part) for part in line["path"]),
                line["before"],
                line["after"],
                int(line["place"]),
            )
            for line in lines
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("these are no changes") from error
