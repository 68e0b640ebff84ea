"""The journal of a migration: each write to the cluster, on the disk before it is sent.

JSON lines. The first says whose journal it is, each other one that a step is about to be taken,
was taken, or was taken back. The file is its owner's alone, is locked while it is written to, and
holds no value of a Secret. What a killed process leaves is a last line that is not whole: the step
in it was never begun.
"""

import json
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from .errors import SatokenError
from .secret_file import OWN, cannot_write
from .world import Object

VERSION = "satoken/v1"
KIND = "MigrationJournal"

# How far a step came.
INTENDED = "intended"  # it may have reached the cluster, or not
DONE = "done"
SETTLED = "settled"  # done, and what follows from it was seen
UNDONE = "undone"
STATES = (INTENDED, DONE, SETTLED, UNDONE)

OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Entry(NamedTuple):
    """A step in the journal: what it is, how far it came, when that was (as Kubernetes writes
    times)."""

    number: int
    step: Object
    state: str
    at: str


def default_path(environ: Mapping[str, str], server: str) -> str | None:
    """Where the journal of an API server is kept; None where there is no home to keep it in."""
    from hashlib import sha256

    folder = environ.get("XDG_STATE_HOME") or ""
    if not os.path.isabs(folder):  # the specification says to ignore others
        home = environ.get("HOME") or ""
        if not os.path.isabs(home):
            return None
        folder = os.path.join(home, ".local", "state")
    key = sha256(server.encode()).hexdigest()[:12]
    return os.path.join(folder, "kubectl-satoken", f"migrate-{key}.jsonl")


class Journal:
    """One journal, open and locked. ``now`` gives the time in seconds since the epoch."""

    def __init__(self, path: str, server: str, now: Callable[[], float]) -> None:
        """Opens a journal, or begins one. Raises SatokenError."""
        self.path = path
        self.now = now
        self.entries: dict[int, Entry] = {}
        self.descriptor = open_file(path)
        try:
            self.read(server)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets go of the file, and of its lock."""
        with suppress(OSError):
            os.close(self.descriptor)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def standing(self) -> list[Entry]:
        """The steps that were not taken back, in their order."""
        return [entry for entry in self.entries.values() if entry.state != UNDONE]

    def intend(self, step: Object) -> int:
        """Says that a step is about to be taken, and returns its number."""
        number = max(self.entries, default=0) + 1
        self.note({"number": number, "state": INTENDED, "step": step})
        return number

    def mark(self, number: int, state: str) -> None:
        """Says how far a step came."""
        self.note({"number": number, "state": state})

    # --- below: the file

    def note(self, line: Object) -> None:
        """Adds a line, and returns when it is on the disk. Raises SatokenError."""
        from .times import timestamp

        entry = {**line, "at": timestamp(self.now())}
        self.write(entry)
        self.take(entry)

    def write(self, entry: Object) -> None:
        """Writes a line to the disk. Raises SatokenError."""
        data = (json.dumps(entry, separators=(",", ":")) + "\n").encode()
        try:
            if os.write(self.descriptor, data) != len(data):
                raise OSError(28, "No space left on device")
            os.fsync(self.descriptor)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def read(self, server: str) -> None:
        """Reads what is there, and begins the file if there is nothing. Raises SatokenError."""
        with open(self.descriptor, "rb", closefd=False) as file:
            content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            try:
                os.ftruncate(self.descriptor, whole)
            except OSError as error:
                raise cannot_write(self.path, error) from error
        lines = content[:whole].splitlines()
        if not lines:
            self.write({"apiVersion": VERSION, "kind": KIND, "server": server})
            sync_folder(self.path)
            return
        head = self.parsed(lines[0], 1)
        if head.get("kind") != KIND:
            raise self.unreadable(1, "it does not begin as a journal of migrate does")
        if head.get("apiVersion") != VERSION:
            raise self.unreadable(1, f"it is of another version than {VERSION}")
        if head.get("server") != server:
            raise SatokenError(
                f"{self.path}: is the journal of a migration on {head.get('server')}, "
                f"and this is {server}",
                "choose another file with --journal, or the cluster with --context",
            )
        for place, line in enumerate(lines[1:], 2):
            entry = self.parsed(line, place)
            try:
                self.take(entry)
            except (KeyError, TypeError, ValueError):
                raise self.unreadable(place, "it is no step") from None

    def parsed(self, line: bytes, place: int) -> Object:
        """The object on a line. Raises SatokenError."""
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self.unreadable(place, "it is not a JSON object")
        return found

    def take(self, line: Object) -> None:
        """Adds what a line says. Raises KeyError, TypeError or ValueError for nonsense."""
        number, state, at = int(line["number"]), line["state"], str(line["at"])
        if state not in STATES:
            raise ValueError(state)
        if state == INTENDED and number not in self.entries:
            step = line["step"]
            if not isinstance(step, dict):
                raise TypeError("step")
            self.entries[number] = Entry(number, step, state, at)
        else:
            self.entries[number] = self.entries[number]._replace(state=state, at=at)

    def unreadable(self, place: int, why: str) -> SatokenError:
        """The error of a line that cannot be used."""
        return SatokenError(
            f"{self.path}, line {place}: {why}, so it is not clear what was done",
            "move the file away to go by what the cluster shows alone",
        )


def open_file(path: str) -> int:
    """A journal, opened and locked; made where there is none. Raises SatokenError."""
    folder = os.path.dirname(path)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        if folder:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor = os.open(path, flags, OWN)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SatokenError(f"{path}: is not a regular file")
        # what it says is written to the cluster, so nobody else may have written it
        if os.name != "nt" and (
            status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & OF_OTHERS
        ):
            raise SatokenError(
                f"{path}: others may have written this journal (mode "
                f"{stat.S_IMODE(status.st_mode):04o}), and what it says is done to the cluster",
                f"if it is right: chmod 600 {path}",
            )
        lock(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def lock(descriptor: int, path: str) -> None:
    """Locks a journal until it is closed, or its process has ended. Raises SatokenError."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SatokenError(
            f"{path}: another migrate is at work with this journal",
            "wait until it has ended; what it leaves is gone on with",
        ) from None
    except OSError:  # a file system without locks: the preconditions of each write remain
        return


def sync_folder(path: str) -> None:
    """Makes a new file's name as lasting as what is in it."""
    with suppress(OSError):
        descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
