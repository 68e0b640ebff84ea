"""From the Secret of a legacy token to the projected one, in a pod spec: the same files, renewed.

The identity stays the same only where the pods run as the account that the Secret is of, so nothing
else is converted. What needs the application, or a person, is told and left as it is.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .admission import ROOT_CA_CONFIG_MAP, TOKEN_MOUNT_PATH, TOKEN_VOLUME_PREFIX
from .changes import Change, Key, changed, joined
from .consumers import ENV, ENV_FROM, PROJECTED, PULL, VOLUME, Use, inner, name_in, secret_uses
from .mounts import account_of, within
from .world import Object

# The keys of a token Secret that the token controller fills.
TOKEN, CA, NAMESPACE = "token", "ca.crt", "namespace"
KEYS = (TOKEN, CA, NAMESPACE)

# By it the API server knows the lifetime of its own default projection: such a token is taken for a
# year by those who read it only once, while it is renewed each hour.
LIFETIME = 3607

CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


class Obstacle(NamedTuple):
    """A use that stays as it is: where it stands, why it stays, and what a person does about it."""

    use: Use
    why: str
    todo: str

    def __str__(self) -> str:
        return f"{self.use}: {self.why}; {self.todo}"


class Conversion(NamedTuple):
    """What becomes of a pod spec.

    ``spec`` is the new one, ``changes`` what differs (paths below the pod spec), each with a reason
    for a person at the same place of ``reasons``. ``obstacles`` are the uses that are left.
    """

    spec: Object
    changes: tuple[Change, ...]
    reasons: tuple[str, ...]
    obstacles: tuple[Obstacle, ...]


class TokenSecret(NamedTuple):
    """What must be known of a Secret to convert its uses.

    ``extra``: it holds more than token, ca.crt and namespace.
    """

    name: str
    account: str
    extra: bool = False


class File(NamedTuple):
    """A file that a Secret's key becomes; ``mode`` is None for that of the volume."""

    key: str
    path: str
    mode: int | None


class Stays(Exception):
    """A use that is not converted: why, and what a person does about it."""

    def __init__(self, why: str, todo: str) -> None:
        super().__init__(why)
        self.why = why
        self.todo = todo


FOR_APPLICATION = (
    f"let the application read the file {TOKEN_MOUNT_PATH}/{TOKEN}, again and again, and take the "
    "variable out"
)
MORE_KEYS = "move what else it holds into a Secret of its own"


def projection_for(spec: Object, secret: TokenSecret, service_account: Object | None) -> Conversion:
    """A pod spec in which a projected token stands for a Secret's, at the same paths and modes.

    ``service_account`` is the one that the pods run as, or None where it is not known: then no
    volume is left to be mounted by the API server. Pure: the spec that was given is not changed.
    """
    changes: list[Change] = []
    reasons: list[str] = []
    obstacles: list[Obstacle] = []
    done: set[str] = set()
    new = spec
    for use in secret_uses(spec):
        if use.name != secret.name or (use.how in (VOLUME, PROJECTED) and use.part in done):
            continue
        if use.how in (VOLUME, PROJECTED):
            done.add(use.part)
        try:
            for change, reason in converted(use, new, secret, service_account):
                new = changed(new, (change,))
                changes.append(change)
                reasons.append(reason)
        except Stays as stays:
            obstacles.append(Obstacle(use, stays.why, stays.todo))
    return Conversion(new, tuple(changes), tuple(reasons), tuple(obstacles))


def projections_for(
    spec: Object, secrets: Iterable[TokenSecret], service_account: Object | None
) -> Conversion:
    """The same for several Secrets at once; of each place there is one change."""
    changes: list[tuple[Change, str]] = []
    obstacles: list[Obstacle] = []
    new = spec
    for secret in secrets:
        one = projection_for(new, secret, service_account)
        new = one.spec
        changes += zip(one.changes, one.reasons, strict=True)
        obstacles += one.obstacles
    reasons = {change.path: reason for change, reason in changes}
    joint = joined(change for change, _ in changes)
    return Conversion(new, joint, tuple(reasons[change.path] for change in joint), tuple(obstacles))


Converted = Iterator[tuple[Change, str]]


def converted(
    use: Use, spec: Object, secret: TokenSecret, service_account: Object | None
) -> Converted:
    """The changes that replace one use, or all of one volume. Raises Stays."""
    if use.how in (VOLUME, PROJECTED):
        yield from of_volume(use, spec, secret, service_account)
    elif use.how == ENV:
        yield from of_variable(use, spec, secret)
    elif use.how == PULL:
        yield from of_pull_secret(spec, secret)
    elif use.how == ENV_FROM:
        raise Stays(
            f"all keys become variables of container {use.container}, and none is renewed",
            FOR_APPLICATION,
        )
    else:
        raise Stays("a driver takes its login from it", "give the driver a Secret of its own")


def confirm_account(spec: Object, secret: TokenSecret) -> None:
    """Raises Stays where the projected token would be that of another account."""
    account = account_of({"spec": spec})
    if account != secret.account:
        raise Stays(
            f"the token is of serviceaccount {secret.account}, and the pods run as {account}",
            f"let them run as {secret.account} (serviceAccountName), or bind {account} to the "
            f"roles of {secret.account} and mount its own token",
        )


# --- volumes --------------------------------------------------------------------------------------


def of_volume(
    use: Use, spec: Object, secret: TokenSecret, service_account: Object | None
) -> Converted:
    """The changes of a volume that takes files from the Secret."""
    volume = next(one for one in spec["volumes"] if one.get("name") == use.part)
    source = volume.get("secret") or {}
    if source and is_automount(volume, spec, secret, service_account):
        yield from unmounted(volume, spec)
        return
    confirm_no_sub_path(volume, spec, secret)
    if source:
        projected = whole_projection(source, spec, secret)
    else:
        projected = {
            **volume["projected"],
            "sources": [*mixed_sources(volume["projected"], spec, secret)],
        }
    after = {key: value for key, value in volume.items() if key not in ("secret", "projected")}
    reason = f"volume {use.part}: a projected token in the place of secret {secret.name}"
    key = ("volumes", Key("name", use.part))
    yield Change(key, volume, {**after, "projected": projected}), reason


def is_automount(
    volume: Object, spec: Object, secret: TokenSecret, service_account: Object | None
) -> bool:
    """Whether a volume only does what the API server does by itself for these pods."""
    source = volume["secret"]
    wanted = spec.get("automountServiceAccountToken")
    if wanted is None and service_account is not None:
        wanted = service_account.get("automountServiceAccountToken") is not False
    mounts = [mount for _, mount in mounts_of(volume, spec)]
    others = (str(one.get("name", "")) for one in spec["volumes"] if one is not volume)
    return bool(
        wanted
        and mounts
        and account_of({"spec": spec}) == secret.account
        and not secret.extra
        and source.get("items") is None
        and source.get("defaultMode") in (None, 420)
        and all(
            mount.get("mountPath") == TOKEN_MOUNT_PATH
            and not mount.get("subPath")
            and not mount.get("subPathExpr")
            for mount in mounts
        )
        and not any(name.startswith(TOKEN_VOLUME_PREFIX) for name in others)
    )


def unmounted(volume: Object, spec: Object) -> Converted:
    """The changes that take out a volume and its mounts, for the API server to mount its own."""
    name = volume["name"]
    reason = f"volume {name}: taken out, the API server mounts a token at that place by itself"
    for container, mount in mounts_of(volume, spec):
        field, index = container
        one = spec[field][index]
        path = (field, Key("name", one["name"]), "volumeMounts", Key("mountPath", TOKEN_MOUNT_PATH))
        yield Change(path, mount, None, one["volumeMounts"].index(mount)), reason
    place = spec["volumes"].index(volume)
    yield Change(("volumes", Key("name", name)), volume, None, place), reason


def mounts_of(volume: Object, spec: Object) -> Iterator[tuple[tuple[str, int], Object]]:
    """The mounts of a volume, each after the place of its container."""
    for field in CONTAINERS:
        for index, container in enumerate(spec.get(field) or []):
            for mount in container.get("volumeMounts") or []:
                if mount.get("name") == volume["name"]:
                    yield (field, index), mount


def confirm_no_sub_path(volume: Object, spec: Object, secret: TokenSecret) -> None:
    """Raises Stays where a container would get a token that is never renewed."""
    sources = [volume.get("secret") or {}]
    sources += (one.get("secret") or {} for one in inner(volume, "projected", "sources") or ())
    tokens = [
        file.path
        for source in sources
        if (source.get("secretName") or source.get("name")) == secret.name
        for file in files_of(source, secret)
        if file.key == TOKEN
    ]
    for (field, index), mount in mounts_of(volume, spec):
        sub_path = mount.get("subPath") or ""
        if mount.get("subPathExpr") or any(within(path, sub_path) for path in tokens if sub_path):
            name = spec[field][index].get("name")
            raise Stays(
                f"container {name} mounts it by subPath, where a token is never renewed",
                f"mount the whole volume in container {name}, without subPath",
            )


def files_of(source: Object, secret: TokenSecret) -> list[File]:
    """The files that a Secret becomes. Raises Stays where one is none that can be projected."""
    items = source.get("items")
    if items is None:
        if secret.extra:
            raise Stays("the Secret holds more than a token, and all of it is mounted", MORE_KEYS)
        return [File(key, key, None) for key in KEYS]
    files = [File(str(one.get("key")), str(one.get("path")), one.get("mode")) for one in items]
    other = [file.key for file in files if file.key not in KEYS]
    if other:
        raise Stays(f"the key {other[0]} of the Secret is mounted as well", MORE_KEYS)
    return files


def whole_projection(source: Object, spec: Object, secret: TokenSecret) -> Object:
    """The projected volume for a Secret volume. Raises Stays."""
    files = files_of(source, secret)
    default = source.get("defaultMode")
    modes = {file.mode for file in files if file.key == TOKEN} or {None}
    if len(modes) > 1:
        raise Stays(
            "the token is mounted twice, with different modes", "mount it with one mode, or once"
        )
    [mode] = modes
    if mode is None:
        mode = default
    elif mode != default:
        # a projected token has the mode of its volume, so the others get theirs one by one
        rest = 420 if default is None else default
        files = [
            file if file.key == TOKEN or file.mode is not None else file._replace(mode=rest)
            for file in files
        ]
    projected: Object = {} if mode is None else {"defaultMode": mode}
    projected["sources"] = [*sources_of(files, spec, secret)]
    return projected


def mixed_sources(projected: Object, spec: Object, secret: TokenSecret) -> Iterator[Object]:
    """The sources of a projected volume, without the Secret. Raises Stays."""
    sources = projected["sources"]
    mine = [(one.get("secret") or {}).get("name") == secret.name for one in sources]
    taken = {
        path: what
        for one, is_mine in zip(sources, mine, strict=True)
        if not is_mine
        for path, what in explicit(one)
    }
    for one, is_mine in zip(sources, mine, strict=True):
        if not is_mine:
            yield one
            continue
        files = files_of(one["secret"], secret)
        for file in files:
            if file.key == TOKEN and file.mode not in (None, projected.get("defaultMode", 420)):
                raise Stays(
                    "the token has another mode than its volume, which a projected one cannot have",
                    "give it the mode of the volume, or a volume of its own",
                )
            if taken.get(file.path, file.key) != file.key:
                raise Stays(
                    f"another source brings the file {file.path} as well", "take one of them out"
                )
        kept = [file for file in files if file.path not in taken]
        taken |= {file.path: file.key for file in kept}
        yield from sources_of(kept, spec, secret)


def explicit(source: Object) -> Iterator[tuple[str, str]]:
    """The files that a source says it brings, each with the key of ours that it is as good as."""
    token = source.get("serviceAccountToken")
    if token:
        yield str(token.get("path") or TOKEN), "" if token.get("audience") else TOKEN
    config_map = source.get("configMap") or {}
    for item in config_map.get("items") or []:
        same = config_map.get("name") == ROOT_CA_CONFIG_MAP and item.get("key") == CA
        yield str(item.get("path")), CA if same else ""
    for item in (source.get("downwardAPI") or {}).get("items") or []:
        same = inner(item, "fieldRef", "fieldPath") == "metadata.namespace"
        yield str(item.get("path")), NAMESPACE if same else ""
    for kind in ("secret", "clusterTrustBundle", "podCertificate"):
        for item in (source.get(kind) or {}).get("items") or []:
            yield str(item.get("path")), ""


def sources_of(files: list[File], spec: Object, secret: TokenSecret) -> Iterator[Object]:
    """The projected sources that bring some files. Raises Stays."""
    for file in files:
        if file.key == TOKEN:
            confirm_account(spec, secret)
            yield {"serviceAccountToken": {"expirationSeconds": LIFETIME, "path": file.path}}
    items = [{"key": CA, **placed(file)} for file in files if file.key == CA]
    if items:
        yield {"configMap": {"name": ROOT_CA_CONFIG_MAP, "items": items}}
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    items = [{**placed(file), "fieldRef": field} for file in files if file.key == NAMESPACE]
    if items:
        yield {"downwardAPI": {"items": items}}


def placed(file: File) -> Object:
    """Path and mode of an item."""
    return {"path": file.path, **({} if file.mode is None else {"mode": file.mode})}


# --- variables and pull secrets -------------------------------------------------------------------


def of_variable(use: Use, spec: Object, secret: TokenSecret) -> Converted:
    """The change of a variable, where its value is to be had elsewhere. Raises Stays."""
    for field in CONTAINERS:
        for container in spec.get(field) or []:
            if container.get("name") != use.container:
                continue
            same = [one for one in container.get("env") or [] if one.get("name") == use.part]
            if len(same) != 1:
                raise Stays("the variable is there twice", "take one of them out")
            [variable] = same
            path = (field, Key("name", use.container), "env", Key("name", use.part))
            after = {**variable, "valueFrom": value_from(variable)}
            reason = f"variable {use.part} of {use.container}: the same from elsewhere"
            yield Change(path, variable, after), reason
            return


def value_from(variable: Object) -> Object:
    """Where else a variable gets the same value. Raises Stays."""
    reference = variable["valueFrom"]["secretKeyRef"]
    key = reference.get("key")
    if key == NAMESPACE:
        return {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    if key == CA:
        optional = {"optional": True} if reference.get("optional") else {}
        return {"configMapKeyRef": {"name": ROOT_CA_CONFIG_MAP, "key": CA, **optional}}
    if key == TOKEN:
        raise Stays("a variable never changes, so a token in it cannot be renewed", FOR_APPLICATION)
    raise Stays(f"it takes the key {key}, which no projected token has", MORE_KEYS)


def of_pull_secret(spec: Object, secret: TokenSecret) -> Converted:
    """The change that takes the Secret out of imagePullSecrets, where it is of no use."""
    if secret.extra:
        raise Stays("the Secret holds more than a token, perhaps a login to a registry", MORE_KEYS)
    entries = spec.get("imagePullSecrets") or []
    places = [index for index, one in enumerate(entries) if name_in(one) == secret.name]
    if len(places) > 1:
        raise Stays("it is named twice", "take it out of imagePullSecrets")
    [place] = places
    path = ("imagePullSecrets", Key("name", secret.name))
    yield (
        Change(path, entries[place], None, place),
        "imagePullSecrets: taken out, a token Secret is no login to a registry",
    )
