"""The tokens that ``-o exec-credential`` gave out, kept until four fifths of their life are over.

One file for each token that is asked for, mode 0600, in a folder of mode 0700. Its name is a hash
of all that decides which token it is: server and CA, who asked, for which account, audiences,
lifetime and bound object. A file that others may read, or that is not ours, is not used.

client-go asks its plugin once, and again only when the credential has expired or was refused with
a 401. So a process that asks a second time for a token that is still good has been refused, for
its account was made anew, say: it gets a new one. That is why the file notes who was served.
"""

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from .env import Env
from .errors import SatokenError
from .world import Sealed

if TYPE_CHECKING:
    from .kubeconfig import Target
    from .mint import Ask

SHARE = 0.8  # of a token's life, after which the kubelet, too, renews
SERVED = 32  # processes that are remembered


class Kept(NamedTuple):
    """A token, and when (seconds since the epoch, our clock) a new one is to be asked for."""

    token: Sealed
    renew: float


def cache_folder(environ: Mapping[str, str]) -> str | None:
    """Where tokens are kept; None without a home."""
    base = environ.get("XDG_CACHE_HOME") or ""
    if not os.path.isabs(base):
        home = environ.get("HOME") or ""
        if not os.path.isabs(home):
            return None
        base = os.path.join(home, ".cache")
    return os.path.join(base, "kubectl-satoken", "tokens")


def cache_file(target: "Target", ask: "Ask", env: Env) -> str | None:
    """The file of a token; None where there can be none."""
    from hashlib import sha256

    folder = cache_folder(env.environ)
    if folder is None:
        return None
    key = [
        *(target.server, target.ca, target.insecure, target.tls_server_name, target.proxy_url),
        *(target.context, target.cluster, target.user, target.impersonate),
        *ask,
    ]
    name = sha256(json.dumps(key).encode()).hexdigest()
    return os.path.join(folder, f"{name}.json")


def find(path: str | None, env: Env, process: str = "") -> Kept | None:
    """The token that is kept in a file, if it is to be used still.

    ``process`` is who asks; the second time that one does, it gets nothing, as said above.
    """
    if path is None:
        return None
    content = read(path)
    if content is None:
        return None
    try:
        kept = Kept(Sealed(content.pop("token")), float(content["renew"]))
        made, served = float(content["made"]), [str(each) for each in content["served"]]
    except (KeyError, TypeError, ValueError):
        return None
    now = env.now()
    if not made <= now < kept.renew or not kept.token:
        return None
    if process:
        if process in served:
            return None
        write(path, kept, made, [*served, process][-SERVED:])
    return kept


def read(path: str) -> dict[str, Any] | None:
    """What is in a file of ours that nobody else can read."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags)
        with open(descriptor, encoding="utf-8") as file:
            status = os.fstat(descriptor)
            if os.name != "nt" and (
                stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.geteuid()
            ):
                return None
            content = json.load(file)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def keep(path: str | None, token: Sealed, life: float, env: Env, process: str = "") -> Kept:
    """Keeps a token that lives ``life`` seconds from now, and says until when it is to be used.

    Where nothing can be written, nothing is kept.
    """
    now = env.now()
    kept = Kept(token, now + SHARE * life)
    if path is not None:
        folder = os.path.dirname(path)
        with suppress(OSError):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            os.chmod(folder, 0o700)
        forget(folder, now)
        write(path, kept, now, [process] if process else [])
    return kept


def write(path: str, kept: Kept, made: float, served: list[str]) -> None:
    """Writes a file of the cache, whole or not at all."""
    from .secret_file import put

    content = {"token": kept.token.reveal(), "renew": kept.renew, "made": made, "served": served}
    with suppress(SatokenError):
        put(path, Sealed(json.dumps(content)))


def forget(folder: str, now: float) -> None:
    """Removes the tokens whose time is over."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            content = read(entry.path) if entry.name.endswith(".json") else None
            if content is not None and not isinstance(content.get("renew"), float):
                content = {"renew": 0.0}
            if content is not None and content["renew"] < now:
                with suppress(OSError):
                    os.unlink(entry.path)


def asking_process() -> str:
    """Who runs us, as its number and, where the system tells it, when it began."""
    parent = os.getppid()
    try:
        with open(f"/proc/{parent}/stat", encoding="utf-8", errors="replace") as file:
            # the name in brackets may hold anything; the start is the 22nd field of all
            return f"{parent}-{file.read().rpartition(')')[2].split()[19]}"
    except (OSError, IndexError):
        return str(parent)
