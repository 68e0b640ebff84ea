"""Resource types by any of the names that kubectl takes, from the API server's discovery."""

import json
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import (
    ApiError,
    Forbidden,
    NotFound,
    ServerError,
    TooOld,
    Unauthorized,
    UsageError,
)
from .kinds import Type, builtin_kind, match
from .world import Kind, Object

if TYPE_CHECKING:
    from .cluster import Api

KEPT = 6 * 3600.0  # seconds, as long as kubectl keeps it

AGGREGATED = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    for version in ("v2", "v2beta1")
)


class Discovered(NamedTuple):
    """What a server serves, in the order in which kubectl prefers it, and which parts of it
    (``group/version``) did not answer."""

    types: list[Type]
    failed: list[str]


def resources(api: "Api") -> list[Kind]:
    """Each resource type once, in its preferred version, as ``kubectl api-resources`` lists them.

    Says on stderr which parts of the API did not answer. Raises ApiError and Unreachable.
    """
    return [each.kind for each in types(api)]


def types(api: "Api") -> list[Type]:
    """The same with what can be done with each, and its subresources."""
    found = remembered(api) or fetch(api)
    if found.failed:
        api.say(f"some resource types are not known, the server is out of {words(found.failed)}")
    once: dict[tuple[str, str], Type] = {}
    for each in found.types:
        once.setdefault((each.kind.group, each.kind.plural), each)
    return list(once.values())


def find(api: "Api", text: str) -> Kind:
    """The type that kubectl means by ``text``: a plural, singular or short name or a kind, alone or
    with ``.group`` or ``.version.group``. The first in the order of preference wins.

    The built-in types are known without asking. Raises UsageError, ApiError and Unreachable.
    """
    kind = builtin_kind(text) or seek(api, text, lambda types: match(types, text))
    if kind is None:
        raise UsageError(unknown(text), "kubectl api-resources lists them")
    return kind


def of_kind(api: "Api", kind: str, api_version: str = "") -> Kind | None:
    """The type of a kind, as objects name it, or None when the server has none of that name.

    Another version of the same group will do. Raises ServerError when the part of the API that may
    have it did not answer, and ApiError and Unreachable.
    """
    group = api_version.rpartition("/")[0]

    def matches(types: list[Type]) -> Kind | None:
        same = [each.kind for each in types if each.kind.kind == kind]
        if api_version:
            same = [each for each in same if each.group == group]
        same.sort(key=lambda each: each.api_version != api_version)
        return same[0] if same else None

    return seek(api, kind, matches, group if api_version else None)


def seek(
    api: "Api",
    text: str,
    matches: Callable[[list[Type]], Kind | None],
    group: str | None = None,
) -> Kind | None:
    """What matches, first among what is remembered, then on the server.

    Raises ServerError when it may be in a part of the API (of ``group``) that did not answer.
    """
    found = remembered(api)
    kind = matches(found.types) if found else None
    if found is None or (kind is None and api.discovered is None):  # it may be from yesterday
        found = fetch(api)
        kind = matches(found.types)
    failed = found.failed
    if group is not None:
        failed = [each for each in failed if each.rpartition("/")[0] == group]
    if kind is None and failed:
        raise ServerError(
            f"{unknown(text)}, but it is out of {words(failed)}",
            "kubectl get apiservices shows which API servers do not answer",
        )
    return kind


def unknown(text: str) -> str:
    """What kubectl says of a resource type that is not there."""
    name, dot, group = text.partition(".")
    message = f'the server doesn\'t have a resource type "{name}"'
    return f'{message} in group "{group}"' if dot else message


def words(names: list[str]) -> str:
    """A few names for a sentence."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# --- the server -----------------------------------------------------------------------------------


def fetch(api: "Api") -> Discovered:
    """Asks the server, and keeps the answer. Raises ApiError when it answers nothing at all."""
    found = Discovered([], [])
    refusal: ApiError | None = None
    for path in ("/api", "/apis"):
        try:
            document = api.request("GET", path, accept=f"{AGGREGATED},application/json")
        except (Forbidden, NotFound, TooOld) as error:  # kubectl, too, does with the other one
            refusal = error
            continue
        if document.get("kind") == "APIGroupDiscoveryList":
            aggregated(document, found)
        else:
            one_by_one(api, document, found)
    if not found.types and refusal is not None:
        raise refusal
    api.discovered = found
    keep(api, found)
    return found


def aggregated(document: Object, found: Discovered) -> None:
    """Reads an APIGroupDiscoveryList, which names groups and versions in order of preference."""
    for group in document.get("items") or ():
        name = (group.get("metadata") or {}).get("name") or ""
        for version in group.get("versions") or ():
            api_version = f"{name}/{version['version']}" if name else version["version"]
            if version.get("freshness") == "Stale":  # an aggregated API server is down
                found.failed.append(api_version)
            for each in version.get("resources") or ():
                kind = (each.get("responseKind") or {}).get("kind")
                if kind and each.get("verbs"):
                    namespaced = each.get("scope") == "Namespaced"
                    short = tuple(each.get("shortNames") or ())
                    type_ = Kind(kind, api_version, each["resource"], namespaced, short)
                    below = each.get("subresources") or ()
                    singular = each.get("singularResource") or kind.lower()
                    found.types.append(
                        Type(
                            type_,
                            singular,
                            tuple(each["verbs"]),
                            tuple(one["subresource"] for one in below),
                        )
                    )


def one_by_one(api: "Api", document: Object, found: Discovered) -> None:
    """Reads an APIVersions or APIGroupList, and the resources of each version (before 1.26)."""
    paths = {version: f"/api/{version}" for version in document.get("versions") or ()}
    for group in document.get("groups") or ():
        versions = [each["groupVersion"] for each in group.get("versions") or ()]
        preferred = (group.get("preferredVersion") or {}).get("groupVersion")
        versions.sort(key=lambda version: version != preferred)
        paths |= {version: f"/apis/{version}" for version in versions}
    for api_version, path in paths.items():
        try:
            listed = api.request("GET", path)
        except Unauthorized:
            raise
        except ApiError:
            found.failed.append(api_version)
            continue
        listing = listed.get("resources") or ()
        below: dict[str, list[str]] = {}
        for each in listing:
            plural, slash, subresource = each["name"].partition("/")
            if slash:
                below.setdefault(plural, []).append(subresource)
        for each in listing:
            if "/" in each["name"] or not each.get("verbs"):
                continue
            short = tuple(each.get("shortNames") or ())
            kind = Kind(each["kind"], api_version, each["name"], bool(each["namespaced"]), short)
            singular = each.get("singularName") or each["kind"].lower()
            subresources = tuple(below.get(each["name"], ()))
            found.types.append(Type(kind, singular, tuple(each["verbs"]), subresources))


# --- the cache ------------------------------------------------------------------------------------


def cache_file(api: "Api") -> str | None:
    """Where the types of this server are kept; None without a home.

    It holds no secrets, but it names what a cluster runs, so only its owner may read it.
    """
    base = api.env.environ.get("XDG_CACHE_HOME") or ""
    if not os.path.isabs(base):
        home = api.env.environ.get("HOME") or ""
        if not os.path.isabs(home):
            return None
        base = os.path.join(home, ".cache")
    host = re.sub(r"[^\w.-]", "_", re.sub(r"^https?://", "", api.server))[:200]
    return os.path.join(base, "kubectl-satoken", "discovery", f"{host}.json")


def remembered(api: "Api") -> Discovered | None:
    """What was found in this process, or not long ago by another. A damaged file is no file."""
    if api.discovered is not None:
        return api.discovered
    path = cache_file(api)
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            if not 0 <= time.time() - os.fstat(file.fileno()).st_mtime < KEPT:
                return None
            kept: dict[str, Any] = json.load(file)
        types = [
            Type(
                Kind(str(a), str(b), str(c), d is True, tuple(map(str, e))),
                str(f),
                tuple(map(str, verbs)),
                tuple(map(str, below)),
            )
            for a, b, c, d, e, f, verbs, below in kept["types"]
        ]
        return Discovered(types, [str(each) for each in kept["failed"]])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def keep(api: "Api", found: Discovered) -> None:
    """Writes the cache, whole or not at all. Without a place to write there is none."""
    path = cache_file(api)
    if path is None:
        return
    types = [[*each.kind, *each[1:]] for each in found.types]
    draft = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.chmod(os.path.dirname(path), 0o700)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump({"types": types, "failed": found.failed}, file)
        os.replace(draft, path)
    except FileExistsError:  # another thread of ours is at it
        return
    except OSError:
        with suppress(OSError):
            os.unlink(draft)
