"""Files that hold a secret: for their owner alone, whole or not at all.

What is written goes to a new file of mode 0600 beside the old one, which then takes its place by
rename(2): whoever looks, and whenever the power fails, finds the old content or the new one. What
a killed process leaves is such a new file, which the next write takes away.
"""

import os
import stat
import time
from contextlib import suppress

from .errors import SatokenError, UsageError
from .world import Sealed

OWN = 0o600
# Of other users: reading or writing the folder. To pass through (x) lets nobody see its files.
OPEN = stat.S_IROTH | stat.S_IWOTH

DRAFT = ".satoken-draft-"
STALE = 60.0  # seconds after which a draft belongs to no process that is still writing


def create(path: str, content: Sealed, *, open_folder: bool = False) -> None:
    """Writes a file, mode 0600, in the place of one that may be there.

    Raises UsageError where it would not be safe there, SatokenError where it cannot be written.
    ``open_folder`` allows folders that other users may read or write.
    """
    confirm_place(path, open_folder)
    put(path, content)


def confirm_place(path: str, open_folder: bool) -> None:
    """Raises UsageError unless a secret may be written there."""
    folder = os.path.dirname(path) or "."
    if not os.path.basename(path):
        raise UsageError(f"{path}: is a folder, not a file")
    try:
        mode = os.stat(folder).st_mode
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        there = os.lstat(path).st_mode
    except FileNotFoundError:
        pass
    except OSError as error:
        raise cannot_write(path, error) from error
    else:
        if stat.S_ISLNK(there):
            raise UsageError(
                f"{path}: is a symbolic link, and no secret is written through one",
                f"it leads to {os.path.realpath(path)}",
            )
        if not stat.S_ISREG(there):
            raise UsageError(f"{path}: is not a regular file")
    # the modes of Windows say nothing about others
    if os.name != "nt" and mode & OPEN and not open_folder:
        may = "write to" if mode & stat.S_IWOTH else "read"
        raise UsageError(
            f"{path}: everybody may {may} its folder (mode {stat.S_IMODE(mode):04o})",
            "choose a folder of your own (mkdir -m 700 NAME), or say --allow-open-folder",
        )


def put(path: str, content: Sealed, mode: int = OWN, owner: tuple[int, int] | None = None) -> None:
    """Writes a file by way of a draft beside it. Raises SatokenError.

    ``owner`` (user, group) is whose it shall be, where that is not who writes it.
    """
    import secrets

    folder, name = os.path.split(path)
    sweep(folder or ".", name)
    draft = os.path.join(folder, f".{name[:200]}{DRAFT}{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        try:
            descriptor = os.open(draft, flags, OWN)
            with open(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(content.reveal())
                file.flush()
                os.fsync(descriptor)
                if owner is not None and owner != (os.geteuid(), os.getegid()):
                    os.fchown(descriptor, *owner)
                if mode != OWN:
                    os.chmod(draft, mode)
            os.replace(draft, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error


def sweep(folder: str, name: str) -> None:
    """Removes the drafts that killed processes left for a file."""
    prefix = f".{name[:200]}{DRAFT}"
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(prefix):
                with suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE:
                        os.unlink(entry.path)


def cannot_write(path: str, error: OSError) -> SatokenError:
    """The error of a file that cannot be written."""
    return SatokenError(f"cannot write {path}: {(error.strerror or 'error').lower()}")
