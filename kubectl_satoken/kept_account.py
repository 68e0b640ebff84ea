"""The manifest of an account while it is away, between its deletion and its making.

In a file of mode 0600, so that nothing is lost when the process is killed in between. It holds no
secret.
"""

import json
import os
from contextlib import suppress

from .env import Env
from .errors import SatokenError
from .secret_file import put
from .token_cache import cache_folder
from .world import Object, Sealed


def file_of(env: Env, server: str, namespace: str, name: str) -> str | None:
    """Where the manifest of an account is kept; None without a home."""
    from hashlib import sha256

    folder = cache_folder(env.environ)
    if folder is None:
        return None
    key = sha256(f"{server} {namespace} {name}".encode()).hexdigest()[:16]
    return os.path.join(os.path.dirname(folder), "revoked", f"{namespace}-{name}-{key}.json")


def keep(path: str | None, manifest: Object) -> bool:
    """Keeps a manifest. Whether that was possible."""
    if path is None:
        return False
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        put(path, Sealed(json.dumps(manifest, indent=2) + "\n"))
    except (OSError, SatokenError):
        return False
    return True


def read(path: str | None) -> Object | None:
    """The manifest that an earlier run has kept."""
    try:
        with open(path or "", encoding="utf-8") as file:
            manifest: Object = json.load(file)
        return manifest if manifest["kind"] == "ServiceAccount" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget(path: str | None) -> None:
    """Removes the file, once the account is there."""
    if path is not None:
        with suppress(OSError):
            os.unlink(path)
