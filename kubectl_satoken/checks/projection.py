"""The projected volume asks for its token in a way that gives none, or another than was meant."""

import posixpath
from collections.abc import Iterator
from typing import Any

from ..fixes import and_manifest, patch_pod
from ..mounts import (
    TOKEN_SECRET_TYPE,
    api_tokens,
    containers,
    has_token,
    is_default_file,
    is_mirror,
    token_files,
)
from ..server import api_audiences
from ..times import lifetime as lasting
from ..times import seconds
from ..workloads import finished, is_live, owner_of, step_into
from ..world import Object, World
from . import Evidence, Finding, Fix, at, check

# pkg/apis/core/validation: validateProjectionSources
SHORTEST = 600
LONGEST = 2**32

# The lifetime by which the API server knows its own default projection, and lets the token live for
# a year (pkg/registry/core/serviceaccount/storage/token.go).
EXTENDED = 3607

# How long after its token has expired a program that never reads it again is expected to be gone.
AFTERWARDS = 900


def projections(spec: Object) -> Iterator[tuple[int, int, Object]]:
    """The token sources of a pod spec: (index of the volume, index of the source, the source)."""
    for index, volume in enumerate(spec.get("volumes") or []):
        for number, source in enumerate((volume.get("projected") or {}).get("sources") or []):
            if source.get("serviceAccountToken"):
                yield index, number, source["serviceAccountToken"]


def field(index: int, number: int, name: str) -> str:
    """The path of a field of a token source."""
    return f"spec.volumes[{index}].projected.sources[{number}].serviceAccountToken.{name}"


def rewrite(pod: Object, world: World, summary: str) -> Fix:
    """A fix that mends the token sources of a pod spec where they were written.

    All that the API server refuses is mended at once, for one fault is enough to be refused.
    What the API server refuses is not there to be patched: the whole manifest is applied, mended.
    Custom resources keep what they do not check, and there it is the template that is patched.
    """
    from copy import deepcopy

    if world.source != "manifests":
        spec = deepcopy(pod["spec"])
        before = deepcopy(spec.get("volumes") or [])
        mend(spec)
        changed = [
            {"name": after["name"], "projected": after["projected"]}
            for after, old in zip(spec["volumes"], before, strict=True)
            if after != old
        ]
        return patch_pod(pod, world, {"volumes": changed}, summary)
    metadata = pod["metadata"]
    owner = owner_of(pod, world)
    written = (
        owner.object
        if owner is not None
        else world.get("Pod", metadata.get("namespace", ""), metadata["name"])
    )
    if written is None:
        return Fix(summary)
    mended = deepcopy(written)
    mended.pop("status", None)
    mend(step_into(mended, owner.path if owner is not None else ())["spec"])
    return and_manifest(world, mended, summary)


def mend(spec: Object) -> None:
    """Makes the token sources of a pod spec such as the API server takes."""
    for volume in spec.get("volumes") or []:
        old = (volume.get("projected") or {}).get("sources") or []
        sources: list[Object] = []
        for source in old:
            sources += single(source)
        if sources != old:
            volume["projected"]["sources"] = sources
    for index, _, projection in projections(spec):
        asked = projection.get("expirationSeconds")
        if asked is not None:
            projection["expirationSeconds"] = min(max(asked, SHORTEST), LONGEST)
        path = str(projection.get("path") or "")
        if wrong_path(path):
            taken = {
                other.get("path")
                for where, _, other in projections(spec)
                if where == index and other is not projection
            }
            projection["path"] = free(posixpath.basename(path).lstrip(".") or "token", taken)


@check("SAT401", on="Pod", severity="error", stage="creation")
def projection_expiration_out_of_range(pod: Object, world: World) -> Iterator[Finding]:
    """The token is asked for a lifetime that the API server refuses.

    ### What goes wrong

    `expirationSeconds` of a projected token must be at least 600, and 2^32 at most. Any other value
    is refused, and with it the whole pod or workload: `may not specify a duration less than 10
    minutes`.

    ### How to fix it

    Set it to 600 or more, or leave it out: 3600 is the default, and the kubelet renews the token
    long before it expires. A short lifetime gains nothing below ten minutes.
    """
    if is_live(pod):
        return
    wrong = [
        (index, number, projection["expirationSeconds"])
        for index, number, projection in projections(pod["spec"])
        if not SHORTEST <= (projection.get("expirationSeconds") or SHORTEST) <= LONGEST
        or projection.get("expirationSeconds") == 0
    ]
    if not wrong:
        return
    evidence = [
        at(pod, field(index, number, "expirationSeconds"), value, here=True)
        for index, number, value in wrong
    ]
    value = wrong[0][2]
    limit = "less than 10 minutes" if value < SHORTEST else "more than 2^32 seconds"
    yield Finding(
        f"{pod['metadata']['name']} is refused: its token is to live {value} seconds, {limit}",
        evidence[0],
        tuple(evidence),
        rewrite(pod, world, "ask for the nearest lifetime that is allowed"),
    )


def wrong_path(path: str) -> str:
    """Why the API server refuses a path in a volume; empty where it takes it.

    The source is ValidateLocalNonReservedPath in pkg/apis/core/validation.
    """
    if not path:
        return "is needed"
    if path.startswith("/"):
        return "must be a relative path"
    if ".." in path.split("/"):
        return "must not contain '..'"
    if path.startswith(".."):
        return "must not start with '..'"
    return ""


@check("SAT402", on="Pod", severity="error", stage="creation")
def projection_bad_path(pod: Object, world: World) -> Iterator[Finding]:
    """The token's file has a path that the API server refuses.

    ### What goes wrong

    The `path` of a projected token is the file within the volume. It must be relative and lead
    nowhere else: not empty, not `/var/run/…/token`, without `..`. Anything else is refused, and
    with it the whole pod or workload: `must be a relative path`, `must not contain '..'`, or
    `spec.volumes[0].projected.path: Required value`.

    ### How to fix it

    Say `path: token`, and mount the volume where the file is to be: `mountPath` is the folder.
    """
    if is_live(pod):
        return
    wrong = [
        (index, number, str(projection.get("path") or ""))
        for index, number, projection in projections(pod["spec"])
        if wrong_path(str(projection.get("path") or ""))
    ]
    if not wrong:
        return
    evidence = [
        at(pod, field(index, number, "path"), path, here=True) for index, number, path in wrong
    ]
    yield Finding(
        f"{pod['metadata']['name']} is refused: the path of its token {wrong_path(wrong[0][2])}",
        evidence[0],
        tuple(evidence),
        rewrite(pod, world, "name the file alone; where it lies is said by mountPath"),
    )


def free(name: str, taken: set[Any]) -> str:
    """A file name that is not taken, made from another."""
    while name in taken:
        name = f"other-{name}"
    return name


class Entry:
    """A file that a source of a projected volume brings."""

    def __init__(self, number: int, kind: str, name: str, item: Object | None) -> None:
        self.number = number
        self.kind = kind
        self.name = name  # the audience of a token, the name of an object
        self.item = item  # what has the path in it; None: the key is the file
        self.token = kind == "serviceAccountToken"

    def words(self) -> str:
        """What it is, in a sentence."""
        if self.token:
            return f"the token for {self.name or 'the API server'}"
        return f"{self.kind} {self.name}".strip()


def entries(pod: Object, volume: Object, world: World) -> dict[str, list[Entry]]:
    """The files of a projected volume, each with the sources that bring it in their order."""
    found: dict[str, list[Entry]] = {}
    sources = volume["projected"].get("sources") or []
    for number, source in enumerate(sources):
        projection = source.get("serviceAccountToken")
        if projection:
            path = posixpath.normpath(projection.get("path") or "token")
            entry = Entry(
                number, "serviceAccountToken", projection.get("audience") or "", projection
            )
            found.setdefault(path, []).append(entry)
            continue
        for kind in ("secret", "configMap", "downwardAPI"):
            named = source.get(kind) or {}
            for item in named.get("items") or []:
                path = posixpath.normpath(item.get("path") or ".")
                entry = Entry(number, kind, named.get("name", ""), item)
                found.setdefault(path, []).append(entry)
    for number, source in enumerate(sources):
        named = source.get("secret") or {}
        if not named or named.get("items") or "token" not in found:
            continue
        secret = world.get("Secret", pod["metadata"].get("namespace", ""), named.get("name", ""))
        if secret and secret.get("type") == TOKEN_SECRET_TYPE and has_token(secret):
            found["token"].append(Entry(number, "secret", named.get("name", ""), None))
    for several in found.values():
        several.sort(key=lambda entry: entry.number)
    return found


@check("SAT403", on="Pod", severity="warning", stage="file")
def projection_duplicate_path(pod: Object, world: World) -> Iterator[Finding]:
    """Two sources of a projected volume write one file, and one of them is a token.

    ### What goes wrong

    Two sources have the same `path`, such as a token for the API server and one for Vault, or a
    token and the key `token` of a Secret. The API server takes that, with a warning at most
    (`overlapping paths`), and the kubelet keeps only what comes last. Who reads the file gets the
    wrong token, and the API server answers 401 Unauthorized to one that is for somebody else.

    ### How to fix it

    Give each source a path of its own, and tell the program that reads the other one.
    """
    if is_mirror(pod) or finished(pod):
        return
    mounted = {
        mount.get("name")
        for container in containers(pod)
        for mount in container.get("volumeMounts") or []
    }
    for index, volume in enumerate(pod["spec"].get("volumes") or []):
        sources = (volume.get("projected") or {}).get("sources") or []
        if len(sources) < 2 or volume["name"] not in mounted:
            continue
        if not any(source.get("serviceAccountToken") for source in sources):
            continue
        for path, several in entries(pod, volume, world).items():
            tokens = [entry for entry in several if entry.token]
            if len(several) < 2 or not tokens:
                continue
            if len(tokens) == len(several) and len({entry.name for entry in tokens}) == 1:
                # one and the same token, twice
                continue
            yield overwritten(pod, world, index, path, several)
            return


def overwritten(pod: Object, world: World, index: int, path: str, several: list[Entry]) -> Finding:
    """The finding that one file of a volume comes from several sources."""
    from copy import deepcopy

    volume = pod["spec"]["volumes"][index]
    ours = [entry for entry in several if is_ours(entry, world)]
    last = several[-1]
    keep = ours[0] if ours else last
    sources = deepcopy(volume["projected"]["sources"])
    taken = set(entries(pod, volume, world))
    for entry in several:
        if entry is keep or entry.item is None:
            continue
        kind = sources[entry.number][entry.kind]
        item = (
            kind
            if entry.token
            else next(one for one in kind["items"] if posixpath.normpath(one["path"]) == path)
        )
        item["path"] = free(f"{slug(entry.name) or entry.kind.lower()}-{path}", taken)
        taken.add(item["path"])
    if any(entry.item is None for entry in several if entry is not keep):
        # what has no path of its own stays, and comes first
        sources.append(sources.pop(keep.number))
    evidence = [
        at(
            pod,
            f"spec.volumes[{index}].projected.sources[{entry.number}].{entry.kind}",
            f"{entry.words()}: {path}" + (" (the last, which stays)" if entry is last else ""),
            here=entry is last,
        )
        for entry in several
    ]
    lost = next(entry for entry in reversed(several) if entry is not last)
    needed = (
        bool(ours) and last not in ours and last.kind != "secret" and is_read(pod, volume, path)
    )
    return Finding(
        f"{last.words()} takes the place of {lost.words()}: both are file {path} of volume "
        f"{volume['name']}",
        evidence[-1],
        tuple(evidence),
        patch_pod(
            pod,
            world,
            {"volumes": [{"name": volume["name"], "projected": {"sources": sources}}]},
            "give each a path of its own, and tell the program that reads the other "
            "(pods are recreated)",
        ),
        severity="error" if needed else "",
    )


def is_ours(entry: Entry, world: World) -> bool:
    """Whether a source brings a token for the API server."""
    return entry.token and (not entry.name or entry.name in (api_audiences(world) or ()))


def is_read(pod: Object, volume: Object, path: str) -> bool:
    """Whether a file of a volume is the one that client libraries read without being told."""
    if path != "token":
        return False
    plain = {
        "name": volume["name"],
        "projected": {"sources": [{"serviceAccountToken": {"path": path}}]},
    }
    spec = {**pod["spec"], "volumes": [plain]}
    return any(is_default_file(file) for file in token_files({**pod, "spec": spec}))


def slug(audience: str) -> str:
    """An audience or a name as a part of a file name."""
    name = audience.rpartition("//")[2]
    return "".join(sign if sign.isalnum() or sign in "-." else "-" for sign in name).strip("-.")


@check("SAT404", on="Pod", severity="error", stage="creation")
def projection_unknown_field_audiences(pod: Object, world: World) -> Iterator[Finding]:
    """A projected token has audiences, which is no field; it is audience.

    ### What goes wrong

    A projected token is for one audience, and the field is `audience`, a string. TokenRequest has a
    list `audiences`, and a volume has not: `kubectl apply` refuses it (`unknown field`), and where
    that is not checked the field is dropped. The token is then for the API server, and whoever it
    was meant for refuses it.

    ### How to fix it

    Write `audience: NAME`. For several audiences use several sources, each with a path of its own.
    """
    if is_live(pod):
        return
    wrong = [
        (index, number, projection["audiences"])
        for index, number, projection in projections(pod["spec"])
        if "audiences" in projection
    ]
    if not wrong:
        return
    evidence = [
        at(pod, field(index, number, "audiences"), plain(value), here=True)
        for index, number, value in wrong
    ]
    yield Finding(
        f"{pod['metadata']['name']} is refused, or its token is for the API server: "
        "a projected token has one audience, not audiences",
        evidence[0],
        tuple(evidence),
        rewrite(pod, world, "name one audience for each source"),
    )


def plain(value: Any) -> str:
    """The audiences that were written, as text."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def single(source: Object) -> list[Object]:
    """A token source with several audiences as sources with one each; any other as it is."""
    projection = source.get("serviceAccountToken") or {}
    if "audiences" not in projection:
        return [source]
    value = projection["audiences"]
    names = [str(name) for name in (value if isinstance(value, list) else [value]) if name]
    rest = {key: item for key, item in projection.items() if key != "audiences"}
    if rest.get("audience") or not names:
        return [{"serviceAccountToken": rest}]
    path = rest.get("path") or "token"
    return [
        {
            "serviceAccountToken": {
                **rest,
                "audience": name,
                "path": f"{slug(name)}-{posixpath.basename(path)}" if number else path,
            }
        }
        for number, name in enumerate(names)
    ]


@check("SAT405", on="Pod", severity="hint", stage="token")
def extension_not_active(pod: Object, world: World) -> Iterator[Finding]:
    """A program ends when its token expires: it seems to read the file only once.

    ### What goes wrong

    The token that the API server mounts by itself asks for 3607 seconds and is accepted for a year,
    for the sake of programs that read it once. A volume written by hand with any other
    `expirationSeconds` (3600 is the default) has no such grace: its token really expires. The
    container's last run ended, not well, about when the token that it started with expired.

    ### How to fix it

    Use a client library that reads the file again, as all current ones do. Until then,
    `expirationSeconds: 3607` gives the grace back, unless the API server is told to give none.
    """
    if not is_live(pod) or is_mirror(pod):
        return
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    runs = {
        status.get("name"): (number, span)
        for number, status in enumerate(statuses)
        if (span := failed_run(status))
    }
    if not runs:
        return
    for file in api_tokens(pod, world):
        number, span = runs.get(file.container, (0, 0))
        if file.secret or file.lifetime in (None, EXTENDED):
            continue
        if not file.lifetime * 0.95 <= span <= file.lifetime + AFTERWARDS:
            continue
        yield gone_with_token(pod, world, file.container, file.volume, file.lifetime, number, span)
        return


def failed_run(status: Object) -> float:
    """How many seconds the last run of a container took that did not end well; 0 without one."""
    last = (status.get("lastState") or {}).get("terminated") or {}
    if not last.get("exitCode"):
        return 0
    try:
        return seconds(last.get("finishedAt") or "") - seconds(last.get("startedAt") or "")
    except ValueError:
        return 0


def gone_with_token(
    pod: Object,
    world: World,
    container: str,
    name: str,
    lifetime: int,
    number: int,
    span: float,
) -> Finding:
    """The finding that a container ended when its token did."""
    index, volume = next(
        (index, volume)
        for index, volume in enumerate(pod["spec"]["volumes"])
        if volume["name"] == name
    )
    sources: list[Object] = []
    here: Evidence | None = None
    for place, source in enumerate(volume["projected"]["sources"]):
        projection = source.get("serviceAccountToken")
        if (
            projection
            and here is None
            and (projection.get("expirationSeconds") or 3600) == lifetime
        ):
            here = at(pod, field(index, place, "expirationSeconds"), lifetime, here=True)
            source = {"serviceAccountToken": {**projection, "expirationSeconds": EXTENDED}}
        sources.append(source)
    here = here or at(pod, f"spec.volumes[{index}].projected", lifetime, here=True)
    run = at(
        pod,
        f"status.containerStatuses[{number}].lastState.terminated",
        f"{container} ended after {lasting(span)}",
    )
    return Finding(
        f"container {container} ended after {lasting(span)}, when the token that it had begun with "
        f"expired: it may have read that only once",
        here,
        (here, run),
        patch_pod(
            pod,
            world,
            {"volumes": [{"name": name, "projected": {"sources": sources}}]},
            "let the program read the file again; until it does, 3607 is the lifetime at which the "
            "API server accepts the token for a year (pods are recreated)",
        ),
        certainty="possible",
    )
