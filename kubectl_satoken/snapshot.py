"""A snapshot: everything that doctor reads of a cluster, without what is secret, for later.

`Recorder` stands between the checks and a World and notes each answer: what was there, what was
not, and what could not be looked at. `ManifestWorld` gives the same answers to the same questions.
"""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import redact
from .token_secrets import LAST_APPLIED, VALUE_ANNOTATIONS
from .world import KINDS, Object, Sealed, Unseen, Want, Whole, World

if TYPE_CHECKING:
    from .cluster import Api
    from .targets import Target

Key = tuple[str, str, str]  # kind, namespace, name

# Of a whole namespace these are not read: there may be much in them, and what of them matters is
# asked for by name.
BY_NAME = ("ConfigMap", "EndpointSlice")


class Recorder(Whole):
    """A World that notes what another one answers, and answers the same the next time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.source = world.source
        self.flags = world.flags
        self.items: dict[Key, Object] = {}
        self.partial: dict[Key, Object] = {}
        self.absent: dict[Key, None] = {}
        self.seen: dict[Key, None] = {}  # lists; with a name: the events about that
        self.partly: dict[tuple[str, str], None] = {}
        self.unseen: dict[Key, Unseen] = {}
        self.documents: dict[str, Object | None] = {}

    def now(self) -> float:
        """The time to judge by."""
        return self.world.now()

    def get(self, kind: str, namespace: str, name: str, api_version: str = "") -> Object | None:
        """The object, or None when it is not there. Raises Unseen."""
        where = namespace if kind not in KINDS or KINDS[kind].namespaced else ""
        key = (kind, where, name)
        if key in self.items:
            return self.items[key]
        if key in self.absent or self.whole(kind, where):
            return None
        if key in self.unseen:
            raise self.unseen[key].with_traceback(None)
        try:
            item = self.world.get(kind, namespace, name, api_version)
        except Unseen as unseen:
            self.unseen[key] = unseen
            raise
        if item is None:
            self.absent[key] = None
        else:
            self.items[key] = item
        return item

    def list(self, kind: str, namespace: str = "", *, metadata: bool = False) -> Iterator[Object]:
        """All objects of a kind, of one namespace or of all. Raises Unseen before yielding."""
        key = (kind, namespace, "")
        if self.whole(kind, namespace):
            return self.found(self.items, kind, namespace)
        if key in self.unseen:
            raise self.unseen[key].with_traceback(None)
        if metadata and (kind, namespace) in self.partly:
            return self.found({**self.partial, **self.items}, kind, namespace)
        try:
            # all of it, whoever asks may stop before the end
            items = [*self.world.list(kind, namespace, metadata=metadata)]
        except Unseen as unseen:
            self.unseen[key] = unseen
            raise
        if metadata:
            self.partly[kind, namespace] = None
        else:
            self.seen[key] = None
        for item in items:
            (self.partial if metadata else self.items)[key_of(item)] = item
        return iter(items)

    def events(self, namespace: str, name: str) -> Iterator[Object]:
        """The events about the objects of that name. Raises Unseen."""
        key = ("Event", namespace, name)
        if key not in self.seen and not self.whole("Event", namespace):
            if key in self.unseen:
                raise self.unseen[key].with_traceback(None)
            try:
                events = [*self.world.events(namespace, name)]
            except Unseen as unseen:
                self.unseen[key] = unseen
                raise
            self.seen[key] = None
            self.items.update((key_of(event), event) for event in events)
        return iter(
            [
                event
                for event in self.found(self.items, "Event", namespace)
                if (event.get("involvedObject") or {}).get("name") == name
            ]
        )

    def text(self, path: str) -> Object | None:
        """A non-resource document. Raises Unseen."""
        key = ("Document", "", path)
        if path not in self.documents:
            if key in self.unseen:
                raise self.unseen[key].with_traceback(None)
            try:
                self.documents[path] = self.world.text(path)
            except Unseen as unseen:
                self.unseen[key] = unseen
                raise
        return self.documents[path]

    def applied_before(self, one: Object, other: Object) -> bool:
        """No order: both are stored."""
        return False

    def prepare(self, wants: Iterable[Want]) -> None:
        """Lets the world read ahead."""
        self.world.prepare(wants)

    def whole(self, kind: str, namespace: str) -> bool:
        """Whether all objects of a kind were read."""
        return (kind, namespace, "") in self.seen or (kind, "", "") in self.seen

    @staticmethod
    def found(items: dict[Key, Object], kind: str, namespace: str) -> Iterator[Object]:
        """The objects of a kind, in the order of the API server."""
        keys = sorted(key for key in items if key[0] == kind and namespace in ("", key[1]))
        return iter([items[key] for key in keys])


def key_of(item: Object) -> Key:
    """The name of an object."""
    metadata = item["metadata"]
    return (item["kind"], metadata.get("namespace", ""), metadata["name"])


# --- what is read ---------------------------------------------------------------------------------


def read_targets(targets: "list[Target]", namespace: str, world: Recorder) -> None:
    """Reads what doctor would of these. Raises what doctor would."""
    from .diagnosis import diagnose

    diagnose(targets, namespace, world)


def read_namespace(namespace: str, world: Recorder) -> None:
    """Reads a namespace, or (empty) all: its objects whole, and what the checks ask besides.

    That is what a sweep asks, and what is asked about each of these. Raises Unseen where not even
    the pods may be listed.
    """
    from .diagnosis import diagnose_objects
    from .sweep import everything, sweep

    world.namespace = namespace
    objects = [*world.list("Pod", namespace)]
    for kind in KINDS.values():
        if not kind.namespaced or kind.kind in (*BY_NAME, "Pod"):
            continue
        try:
            objects += world.list(kind.kind, namespace)
        except Unseen:
            continue  # noted, and told by the checks that need it
    diagnose_objects(objects, world)
    sweep(everything(world), world)


def snapshot_object(
    world: Recorder, targets: "list[Target]", namespace: str, claims: list[Object] | None
) -> Object:
    """All that was noted, as `kind: Snapshot` of satoken/v1, without what is secret."""
    try:
        server = (world.text("/version") or {}).get("gitVersion")
    except Unseen:
        server = None
    snapshot: Object = {
        "apiVersion": "satoken/v1",
        "kind": "Snapshot",
        "source": world.source,
        "time": written(world.now()),
        "server": server,
        "madeBy": f"kubectl-satoken {__version__}",
    }
    if targets:
        snapshot["targets"] = [
            name_of((target.kind, namespace, target.name)) | api_version_of(target)
            for target in targets
        ]
    snapshot["seen"] = [name_of(key) for key in sorted(world.seen)] + [
        {**name_of((*key, "")), "metadata": True} for key in sorted(world.partly)
    ]
    snapshot["unseen"] = [
        {**name_of(key), "what": unseen.what, "why": redact(unseen.why)}
        for key, unseen in sorted(world.unseen.items())
    ]
    snapshot["absent"] = [
        name_of(key) for key in sorted(world.absent) if not world.whole(key[0], key[1])
    ]
    snapshot["documents"] = {path: clean(world.documents[path]) for path in sorted(world.documents)}
    if claims is not None:
        snapshot["claims"] = claims
    partial = {key: item for key, item in world.partial.items() if key not in world.items}
    snapshot["partial"] = [clean_object(partial[key]) for key in sorted(partial)]
    snapshot["items"] = [clean_object(world.items[key]) for key in sorted(world.items)]
    return snapshot


def written(moment: float) -> str:
    """A time in seconds as Kubernetes writes it."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def name_of(key: Key) -> Object:
    """A name for the file, without what it does not have."""
    fields = zip(("kind", "namespace", "name"), key, strict=True)
    return {field: value for field, value in fields if value}


def api_version_of(target: "Target") -> Object:
    """The apiVersion of a target, where its kind alone does not tell."""
    return {} if target.kind in KINDS else {"apiVersion": target.api_version}


# --- what is taken out ----------------------------------------------------------------------------

# What people call that which they do not show, in names of variables and flags.
SECRET_NAME = (
    r"(?i)pass|pwd|token|secret|key|credential|auth|private|cookie|salt|dsn|conn.*str|jwt|bearer|"
    r"signature|license"
)
# Names that only point to it, or say something about it.
POINTER_NAME = (
    r"(?i)(?:^|[_.-])(?:file|path|dir|directory|folder|mount|audiences?|issuer|expiration|ttl|host|"
    r"hostname|port|enabled?|ur[il]|endpoint|type|mode|region|arn|seconds)$"
)
# A flag or variable in a command line, with its value.
ASSIGNED = (
    r"(?i)(?P<name>\b[\w.-]*(?:password|passwd|token|secret|api[-_]?key|access[-_]?key|credential)"
    r"[\w.-]*)(?P<mark>(?:=|:\s*|\s+)['\"]?)(?P<value>(?![-/$<|&>;])[^\s'\";&|)]+)"
)
KNOWN_FORMS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?<=://)[^/\s@]*:[^/\s@]+(?=@)"
    r"|(?P<kept>[?&](?:token|secret|api_key|apikey|password|sig|key)=)[^&\s\"']+"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_\w{20,}|\bxox[abpr]-[\w-]{10,}"
    r"|\bhv[sb]\.[\w-]{20,}|\bsha256~[\w-]{20,}"
)
# Fields of other types that hold, rather than name, a secret.
SECRET_FIELDS = (
    *("password", "passwd", "token", "secret", "apikey", "api_key", "apitoken", "accesskey"),
    *("secretkey", "secretaccesskey", "clientsecret", "privatekey", "bearertoken"),
)
# ConfigMaps whose values the checks read, and which hold none.
OPEN_CONFIG_MAPS = frozenset(
    (
        "kube-root-ca.crt",
        "openshift-service-ca.crt",
        "kube-apiserver-legacy-service-account-token-tracking",
    )
)
GONE = "***"


def clean_object(item: Object) -> Object:
    """An object without what is secret in it, or may be."""
    if item.get("kind") == "Secret":
        # comes without data; what else it might have is not for this file
        item = {key: item[key] for key in item if key not in ("data", "stringData")}
        metadata = item["metadata"]
        annotations = metadata.get("annotations") or {}
        if any(key in annotations for key in VALUE_ANNOTATIONS):
            kept = {key: annotations[key] for key in annotations if key not in VALUE_ANNOTATIONS}
            item["metadata"] = {**metadata, "annotations": kept}
    if item.get("kind") == "ConfigMap":
        item = clean_config_map(item)
    cleaned: Object = clean(item)
    # what names it comes first, as people write it
    order = sorted(cleaned, key=lambda key: key not in ("apiVersion", "kind", "metadata"))
    return {key: cleaned[key] for key in order}


def clean_config_map(item: Object) -> Object:
    """A ConfigMap whose keys tell what there is, but not its values; certificates are public."""
    item = dict(item)
    name = (item.get("metadata") or {}).get("name")
    for field in ("data", "binaryData"):
        values = item.get(field)
        if isinstance(values, dict) and (field == "binaryData" or name not in OPEN_CONFIG_MAPS):
            item[field] = dict.fromkeys(values, GONE)
    return item


def clean(value: Any, field: str = "") -> Any:
    """A value of any form without what is secret in it."""
    if isinstance(value, str):
        if field.lower() in SECRET_FIELDS and value:
            return GONE
        return clean_last_applied(value) if field == LAST_APPLIED else clean_text(value)
    if isinstance(value, list):
        if field in ("command", "args"):
            return clean_words(value)
        return [clean_variable(one) if field == "env" else clean(one) for one in value]
    if isinstance(value, dict):
        return {key: clean(one, str(key)) for key, one in value.items()}
    return value


def clean_text(text: str) -> str:
    """Text without tokens, private keys, and passwords in addresses.

    Certificates are public, and stay as they are: their base64 may look like anything.
    """
    if len(text) < 8:
        return text
    import re

    parts = re.split(
        r"(-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]*-----END CERTIFICATE-----)", text
    )
    return "".join(
        part if index % 2 else re.sub(KNOWN_FORMS, rf"\g<kept>{GONE}", redact(part), flags=re.S)
        for index, part in enumerate(parts)
    )


def is_secret_name(name: str) -> bool:
    """Whether a variable or flag of that name holds a secret, rather than the way to one."""
    import re

    return bool(re.search(SECRET_NAME, name)) and not re.search(POINTER_NAME, name)


def clean_variable(variable: Any) -> Any:
    """An entry of env."""
    import re

    variable = clean(variable)
    if not isinstance(variable, dict) or not isinstance(variable.get("value"), str):
        return variable
    value = variable["value"]
    # a reference to another variable, or a switch, is none
    harmless = re.fullmatch(r"|true|false|\$\([\w.-]+\)", value, re.I)
    if harmless or not is_secret_name(str(variable.get("name", ""))):
        return variable
    return {**variable, "value": GONE}


def clean_words(words: list[Any]) -> list[Any]:
    """The words of a command line, in which a value may stand beside or behind its flag."""
    import re

    def assigned(match: "re.Match[str]") -> str:
        name, value = match["name"], match["value"]
        if value.lower() in ("true", "false", GONE) or not is_secret_name(name):
            return match[0]
        # without a mark between it is prose, as in "the token is", unless it is a flag
        if match["mark"][0].isspace() and not match.string[: match.start()].endswith("-"):
            return match[0]
        return f"{name}{match['mark']}{GONE}"

    cleaned: list[Any] = []
    waiting = False
    for word in words:
        if not isinstance(word, str):
            cleaned.append(clean(word))
            continue
        if waiting and not word.startswith(("-", "/", "$")):
            cleaned.append(GONE)
        else:
            cleaned.append(re.sub(ASSIGNED, assigned, clean_text(word)))
        waiting = word.startswith("-") and "=" not in word and is_secret_name(word)
    return cleaned


def clean_last_applied(text: str) -> str:
    """What kubectl apply notes: an object, as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return GONE
    if not isinstance(value, dict):
        return GONE
    return json.dumps(clean_object(value), separators=(",", ":"))


# --- claims ---------------------------------------------------------------------------------------

# What the API server puts into the token of a Secret (pkg/serviceaccount/legacy.go), and into any.
CLAIMS = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti")
PREFIX = "kubernetes.io"


def claims_of(api: "Api", namespace: str) -> list[Object]:
    """What the tokens in Secrets say of themselves, without their signatures.

    For this the Secrets are read with their values; nothing else of them is kept. Raises ApiError.
    """
    from base64 import b64decode

    from .cluster import path_of
    from .mounts import TOKEN_SECRET_TYPE
    from .token import Malformed, decode

    claims = []
    selector = [("fieldSelector", f"type={TOKEN_SECRET_TYPE}")]
    for page in api.pages(path_of(KINDS["Secret"], namespace), selector):
        for item in page.get("items") or []:
            metadata = item["metadata"]
            entry = name_of(("Secret", metadata.get("namespace", ""), metadata["name"]))
            try:
                token = Sealed(b64decode((item.get("data") or {}).get("token", "")).decode())
                if token:
                    header, payload = decode(token)
                    entry["header"] = {key: header[key] for key in ("alg", "kid") if key in header}
                    entry["payload"] = {
                        key: payload[key]
                        for key in payload
                        if key in CLAIMS or key.startswith(PREFIX)
                    }
                else:
                    entry["why"] = "it has no token"
            except Malformed as error:
                entry["why"] = error.message
            except ValueError:
                entry["why"] = "its token is not base64 of text"
            claims.append(clean(entry))
    return claims
