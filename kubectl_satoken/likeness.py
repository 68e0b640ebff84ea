"""Which pods are like one that was judged before, so that they need not be judged again.

The replicas of a workload differ in names, times and addresses, of which the checks of a healthy
pod read nearly nothing. So what they do read of one pod is written down; another pod with the same
spec, in which all of that has the same values, must come to the same: the checks are functions of
what they read, and the world is the same for both. Only pods without any finding are remembered.
"""

from collections.abc import Iterator
from typing import Any

from .world import Object

# What was looked at without its value: that it is a map or list, that it is not there.
THERE, ABSENT = object(), object()

Path = tuple[Any, ...]
Log = dict[Path, Any]

# How many different readings are remembered for the pods of one spec, and for how many specs.
READINGS = 4
SPECS = 4000


class Watched(dict[str, Any]):
    """A map that writes down what is read of it, and of what is in it."""

    __slots__ = ("log", "path")

    def __init__(self, value: Object, path: Path, log: Log) -> None:
        super().__init__(value)
        self.path = path
        self.log = log

    def __getitem__(self, key: str) -> Any:
        if not super().__contains__(key):
            self.log[*self.path, key] = ABSENT
        return noted(super().__getitem__(key), (*self.path, key), self.log)

    def get(self, key: str, default: Any = None) -> Any:
        if not super().__contains__(key):
            self.log[*self.path, key] = ABSENT
            return default
        return self[key]

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        if not found:
            self.log[*self.path, key] = ABSENT
        else:
            self.log.setdefault((*self.path, key), THERE)
        return found

    def __iter__(self) -> Iterator[str]:
        keys = tuple(super().keys())
        self.log[*self.path, KEYS] = keys
        return iter(keys)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __eq__(self, other: object) -> bool:
        return {**self} == other

    def keys(self) -> Any:
        return list(iter(self))

    def values(self) -> Any:
        return [self[key] for key in self]

    def items(self) -> Any:
        return [(key, self[key]) for key in self]

    def copy(self) -> Any:
        return {**self}

    __hash__ = None


KEYS, LENGTH = object(), object()


class WatchedList(list[Any]):
    """A list that writes down how long it was found to be, and what is read of its items."""

    __slots__ = ("log", "path")

    def __init__(self, value: list[Any], path: Path, log: Log) -> None:
        super().__init__(
            noted(one, (*path, index), log, quiet=True) for index, one in enumerate(value)
        )
        self.path = path
        self.log = log
        # an item that is plain is read with the list
        log[*path, LENGTH] = len(value)
        for index, one in enumerate(value):
            if not isinstance(one, dict | list):
                log[*path, index] = one


def noted(value: Any, path: Path, log: Log, *, quiet: bool = False) -> Any:
    """A value that was read, as it is given out."""
    if isinstance(value, dict):
        if not quiet:
            log.setdefault(path, THERE)
        return Watched(value, path, log)
    if type(value) is list:
        if not quiet:
            log.setdefault(path, THERE)
        return WatchedList(value, path, log)
    if isinstance(value, list):  # one that is read later on; nobody looks but at what is at fault
        log[path] = value
        return value
    log[path] = value
    return value


class Spec(dict[str, Any]):
    """A spec that writes down when somebody wants to know the node, in which likes may differ."""

    __slots__ = ("log",)

    def __init__(self, value: Object, log: Log) -> None:
        super().__init__(value)
        self.log = log

    def __getitem__(self, key: str) -> Any:
        if key == "nodeName":
            self.log["spec", key] = super().get(key, ABSENT)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        if key == "nodeName":
            self.log["spec", key] = super().get(key, ABSENT)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        if key == "nodeName":
            self.log["spec", key] = super().get("nodeName", ABSENT)
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        self.log["spec", "nodeName"] = super().get("nodeName", ABSENT)
        return super().__iter__()

    def items(self) -> Any:
        self.log["spec", "nodeName"] = super().get("nodeName", ABSENT)
        return super().items()

    def values(self) -> Any:
        self.log["spec", "nodeName"] = super().get("nodeName", ABSENT)
        return super().values()


class Likes:
    """What was read of the pods that were found to be fine, by their specs."""

    def __init__(self) -> None:
        self.known: dict[Any, list[list[tuple[Path, Any]]]] = {}

    def fine(self, pod: Object, like: Any) -> bool:
        """Whether a pod of that spec was judged, and found fine, by what is the same in this."""
        for reading in self.known.get(like, ()):
            if all(same(pod, path, value) for path, value in reading):
                return True
        return False

    def watched(self, pod: Object) -> tuple[Object, Log]:
        """A pod to be judged, and what will have been read of it."""
        log: Log = {}
        view = {
            **pod,
            "metadata": Watched(pod["metadata"], ("metadata",), log),
            "spec": Spec(pod["spec"], log),
            "status": Watched(pod["status"], ("status",), log),
        }
        return view, log

    def remember(self, like: Any, log: Log) -> None:
        """Keeps a reading that came to nothing."""
        if len(self.known) >= SPECS:
            self.known.pop(next(iter(self.known)))
        readings = self.known.setdefault(like, [])
        del readings[READINGS - 1 :]
        # what differs most often first
        readings.insert(0, sorted(log.items(), key=lambda entry: entry[0][-1] != "name"))


def same(pod: Object, path: Path, value: Any) -> bool:
    """Whether a part of a pod is as it was read of another one."""
    here: Any = pod
    for index, key in enumerate(path):
        if key is KEYS:
            return isinstance(here, dict) and tuple(here) == value
        if key is LENGTH:
            return isinstance(here, list) and len(here) == value
        if isinstance(here, dict):
            if key not in here:
                return value is ABSENT and index == len(path) - 1
        elif not isinstance(here, list) or key >= len(here):
            return False
        here = here[key]
    if value is THERE:
        return True
    return value is not ABSENT and bool(here == value)
