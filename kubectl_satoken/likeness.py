"""Which pods are like one that was judged before, so that they need not be judged again.

The replicas of a workload differ in names, times and addresses, of which the checks of a healthy
pod read nearly nothing. So what they do read of one pod is written down; another pod with the same
spec, in which all of that has the same values, must come to the same: the checks are functions of
what they read, and the world is the same for both. What is read for the words of a finding alone
(its evidence, the commands of its fix) may differ: of a pod at fault that is like another it is
known which checks find something, and those run once more for each workload.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from .world import Object

# What was looked at without its value: that it is a map or list, that it is not there.
THERE, ABSENT = object(), object()

Path = tuple[Any, ...]
Log = dict[Path, Any]

# A reading, and the codes of the checks that found something.
Codes = tuple[str, ...]
Reading = tuple[list[tuple[Path, Any]], Codes]

# How many different readings are remembered for the pods of one spec, and for how many specs.
READINGS = 4
SPECS = 1000


class Older(NamedTuple):
    """The last part of a path that leads to a time: whether that is before this one."""

    moment: str


class Watched(dict[str, Any]):
    """A map that writes down what is read of it, and of what is in it."""

    __slots__ = ("given", "log", "path")

    def __init__(self, value: Object, path: Path, log: Log) -> None:
        super().__init__(value)
        self.path = path
        self.log = log
        self.given: Object = {}  # what was given out, since most is read again and again

    def __getitem__(self, key: str) -> Any:
        if key in self.given:
            return self.given[key]
        if not super().__contains__(key):
            self.log[*self.path, key] = ABSENT
        found = self.given[key] = noted(super().__getitem__(key), (*self.path, key), self.log)
        return found

    def get(self, key: str, default: Any = None) -> Any:
        if key in self.given:
            return self.given[key]
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

    def __bool__(self) -> bool:
        found = super().__len__() > 0
        self.log[*self.path, FILLED] = found
        return found

    def __eq__(self, other: object) -> bool:
        return {**self} == other

    def made_before(self, moment: str) -> bool:
        """Whether the object with this metadata was made before a time (workloads.made_before)."""
        found = str(super().get("creationTimestamp") or "") < moment
        self.log[*self.path, "creationTimestamp", Older(moment)] = found
        return found

    def keys(self) -> Any:
        return list(iter(self))

    def values(self) -> Any:
        return [self[key] for key in self]

    def items(self) -> Any:
        return [(key, self[key]) for key in self]

    def copy(self) -> Any:
        return {**self}

    __hash__ = None


KEYS, LENGTH, FILLED = object(), object(), object()


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
    """What was read of pods, and what they came to, by their specs (and workloads)."""

    def __init__(self) -> None:
        self.known: dict[Any, list[Reading]] = {}

    def fine(self, pod: Object, like: Any) -> bool:
        """Whether a pod of that spec was judged, and found fine, by what is the same in this."""
        found = self.judged(pod, like)
        return found is not None and not found[1]

    def judged(self, pod: Object, like: Any) -> Reading | None:
        """What was read and found of one that this is like; None if none was judged."""
        for found in self.known.get(like, ()):
            for path, value in found[0]:
                if not same(pod, path, value):
                    break
            else:
                return found
        return None

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

    def remember(self, like: Any, log: Log, codes: Codes = ()) -> Reading:
        """Keeps a reading, and what it came to."""
        if like not in self.known and len(self.known) >= SPECS:
            self.known.pop(next(iter(self.known)))
        readings = self.known.setdefault(like, [])
        del readings[READINGS - 1 :]
        # what differs most often first
        reading = sorted(log.items(), key=lambda entry: entry[0][-1] != "name")
        readings.insert(0, (reading, codes))
        return readings[0]


def same(pod: Object, path: Path, value: Any) -> bool:
    """Whether a part of a pod is as it was read of another one."""
    here: Any = pod
    for index, key in enumerate(path):
        if key is KEYS:
            return isinstance(here, dict) and tuple(here) == value
        if key is LENGTH:
            return isinstance(here, list) and len(here) == value
        if key is FILLED:
            return isinstance(here, dict) and bool(here) == value
        if type(key) is Older:
            return bool((str(here or "") < key.moment) == value)
        if isinstance(here, dict):
            if key not in here:
                if type(path[-1]) is Older and index == len(path) - 2:
                    here = ""
                    continue
                return value is ABSENT and index == len(path) - 1
        elif not isinstance(here, list) or key >= len(here):
            return False
        here = here[key]
    if value is THERE:
        return True
    return value is not ABSENT and bool(here == value)


def moments(reading: Reading, pod: Object, varying: Object) -> list[tuple[str, bool]] | None:
    """Whether a reading, of this pod, has to do with what varies: None if it has.

    But for when the pod was made: these are the moments, and whether it was before each. The fields
    that vary come by name, with those in them that do; one without any varies as a whole.
    """
    found = []
    for path, value in reading[0]:
        if path[0] == "spec":  # the node
            return None
        here: Any = pod
        names: Object = varying
        for key in path:
            if isinstance(key, int):
                here = here[key]
                continue
            if type(key) is Older:
                found.append((key.moment, value))
                break
            if key is LENGTH:
                break
            if key is KEYS or key is FILLED:
                steady = any(names.get(name) != {} for name in here)
                if all(names.values()) or (key is FILLED and value and steady):
                    break
                return None
            if key not in names:
                break
            names = names[key]
            if not names and type(path[-1]) is not Older:
                return None
            here = here.get(key)
        else:
            if value is not THERE and value is not ABSENT:
                return None
    return found
