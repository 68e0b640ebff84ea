"""Where a token comes from that is to be looked at: stdin, a file, a Secret, a running pod.

Never the command line, which every process of the machine can read. A pod's token does not leave
the pod: what is known of it are its claims, and what the API server said to a request from there.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .errors import SECRETS, ExitStatus, NotFound, SatokenError, UsageError, visible
from .foreign import opaque_system
from .kinds import builtin_kind
from .mounts import TOKEN_SECRET_TYPE
from .token import Claims, Malformed, decode
from .token_secrets import VALUE_ANNOTATIONS, bare, is_jwt, unbase64
from .world import KINDS, Object, Sealed

if TYPE_CHECKING:
    from .cluster import Api
    from .env import Env
    from .probe import Prober
    from .world import World

# Bytes that a token can have: the API server takes no larger headers (http.DefaultMaxHeaderBytes).
LIMIT = 1 << 20

# A JWT, and one in base64 once more as in the data of a Secret, within other text.
WITHIN = r"(?<![\w.-])eyJ[\w-]*\.[\w-]+\.[\w-]+(?![\w.-])"
WITHIN_ENCODED = r"ZXlK[A-Za-z0-9+/]{20,}={0,2}"

NEEDED = "a token is needed: - (stdin), FILE, secret/NAME or pod/NAME"


class Broken(Malformed):
    """It was a JWT once, and no API server takes it as it is now."""

    status = ExitStatus.FINDINGS


class Where(NamedTuple):
    """What a token is to be read from: ``kind`` is Stdin, File, Secret or Pod."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        if self.kind == "Stdin":
            return "stdin"
        return visible(self.name if self.kind == "File" else f"{self.kind.lower()}/{self.name}")


class Given(NamedTuple):
    """A token that was read.

    ``token`` is None for that of a pod, which stays there. ``claims`` are empty for what is no JWT;
    ``opaque`` says what it is then, ``sendable`` whether it may be for an API server. ``source`` is
    where it came from in words, ``object`` the Secret (without its values) or the pod. ``notes``
    say what was done to the text. ``reviews`` are verdicts that came with it (see review.py),
    ``unreached`` why one did not.
    """

    token: Sealed | None
    claims: Claims
    source: str
    object: Object | None = None
    opaque: str = ""
    sendable: bool = True
    notes: tuple[str, ...] = ()
    reviews: tuple[Object, ...] = ()
    unreached: str = ""


# --- what it is called ----------------------------------------------------------------------------


def parse(words: Sequence[str]) -> Where:
    """What the words of a command line name. Raises UsageError, which repeats no token."""
    if any(looks_secret(word) for word in words):
        raise UsageError(
            "a token does not belong on the command line, where others can read it",
            "pipe it in and say - instead; the shell may have it in its history now",
        )
    if not words:
        raise UsageError(NEEDED)
    if len(words) > 2 or (len(words) == 2 and builtin_kind(words[0]) is None):
        raise UsageError(f"one token at a time, got {len(words)} names", NEEDED)
    if words[0] == "-" and len(words) == 1:
        return Where("Stdin")
    word, slash, name = words[0].partition("/")
    if len(words) == 2:
        slash, name = "/", words[1]
    elif not slash or builtin_kind(word) is None:
        if not words[0]:
            raise UsageError("the name of the file is empty", NEEDED)
        return Where("File", words[0])
    kind = builtin_kind(word)
    assert kind is not None
    if kind.kind not in ("Pod", "Secret"):
        raise UsageError(f"{visible(word)} holds no token that could be read", NEEDED)
    if not name or "/" in name:
        raise UsageError(f"{visible(word)}/NAME needs one name", NEEDED)
    return Where(kind.kind, name)


def looks_secret(word: str) -> bool:
    """Whether a word may be a token itself, rather than the name of one."""
    return bool(re.search(SECRETS, word) or opaque_system(word)[0])


# --- reading it -----------------------------------------------------------------------------------


def read(
    where: Where,
    env: "Env",
    api: "Api | None" = None,
    world: "World | None" = None,
    prober: "Prober | None" = None,
    container: str = "",
) -> Given:
    """The token. ``api`` is needed for a Secret; ``world``, ``prober`` and ``api`` for a pod.

    ``container`` is that of the pod; else the first with a token. Raises Malformed, Broken and
    other SatokenErrors; none repeats anything of what was read.
    """
    if where.kind == "Stdin":
        return found(from_stdin(env), "stdin")
    if where.kind == "File":
        return found(from_file(where.name), f"file {where}")
    assert api is not None
    if where.kind == "Secret":
        return from_secret(api, where.name)
    assert world is not None
    assert prober is not None
    return from_pod(world, prober, api.namespace, where.name, container)


def from_stdin(env: "Env") -> bytes:
    """What stdin says; on a terminal one line, which is not shown. Raises SatokenError."""
    if env.stdin.isatty():
        from getpass import getpass

        try:
            return getpass("token (it is not shown): ", stream=env.stderr).encode(
                "utf-8", "replace"
            )
        except EOFError:
            return b""
    try:
        stream = getattr(env.stdin, "buffer", None)
        if stream is None:
            return env.stdin.read(LIMIT + 1).encode("utf-8", "surrogateescape")
        content: bytes = stream.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        raise cannot_read("stdin", error) from error
    return content


def from_file(path: str) -> bytes:
    """What a file says. Raises SatokenError."""
    try:
        with open(path, "rb") as file:
            return file.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        # what is no file may be a token of a kind that nobody knows
        name = visible(path) if len(path) < 64 or "/" in path[:-1] else "the file"
        raise cannot_read(name, error) from error


def cannot_read(what: str, error: Exception) -> SatokenError:
    """The error of something that cannot be read."""
    return SatokenError(
        f"cannot read {what}: {(getattr(error, 'strerror', None) or 'invalid name').lower()}"
    )


def from_secret(api: "Api", name: str, namespace: str = "") -> Given:
    """The token in a Secret, of the API's own namespace if none is given. Raises SatokenError."""
    from .cluster import path_of
    from .handles import LABELS

    where = Where("Secret", name)
    namespace = namespace or api.namespace
    try:
        secret: Object = api.request("GET", path_of(KINDS["Secret"], namespace, name))
    except NotFound as error:
        raise NotFound(f'secrets "{name}" not found', code=404, reason="NotFound") from error
    data = secret.pop("data", None) or {}
    metadata = secret["metadata"]
    annotations = metadata.get("annotations") or {}
    for key in VALUE_ANNOTATIONS:
        annotations.pop(key, None)
    metadata.pop("managedFields", None)
    secret |= {"kind": "Secret", "apiVersion": "v1", "dataCount": len(data)}
    labels = metadata.get("labels") or {}
    if not data:
        if all(labels.get(key) == value for key, value in LABELS.items()):
            raise SatokenError(
                f"{where} ends a token and does not hold it: it is a handle of mint --revocable",
                "the token is where mint put it; look at it there",
            )
        raise SatokenError(f"{where} is empty", f"why: kubectl satoken doctor {where}")
    if "token" in data:
        given = found(decoded(data["token"]), f"{where}, key token")
        return given._replace(object=secret)
    tokens = []
    for key, value in data.items():
        try:
            tokens.append(found(decoded(value), f"{where}, key {visible(key)}"))
        except Malformed:
            continue
    if len(tokens) != 1:
        keys = ", ".join(visible(key) for key in data)
        raise SatokenError(
            f"{where} has no key token, and {len(tokens) or 'none'} of its keys hold one: {keys}",
            f"one of type {TOKEN_SECRET_TYPE} has its token under the key token",
        )
    return tokens[0]._replace(object=secret)


def decoded(value: object) -> bytes:
    """A value of a Secret's data."""
    from base64 import b64decode

    try:
        return b64decode(str(value))
    except ValueError:  # the API server gives nothing else
        return b""


def from_pod(
    world: "World", prober: "Prober", namespace: str, name: str, container: str = ""
) -> Given:
    """What is to be known of the token in a running pod. Raises SatokenError.

    Only its claims leave the container.
    """
    from .checks import Skipped
    from .mounts import containers
    from .probe import probe
    from .targets import Target, fetch

    where = Where("Pod", name)
    pod = fetch(Target("Pod", name, "v1", "pods"), namespace, world)
    names = [one["name"] for one in containers(pod)]
    if container and container not in names:
        raise UsageError(
            f"container {visible(container)} is not in {where}", f"it has {', '.join(names)}"
        )
    skipped: list[Skipped] = []
    token = next(probe(pod, world, prober, skipped, container), None)
    why_not = f"why: kubectl satoken doctor {where} -n {namespace}"
    if token is None:
        why = "; ".join(f"{one.what}: {one.why}" for one in skipped)
        if why:
            raise SatokenError(f"the token of {where} cannot be looked at: {why}", why_not)
        of = f"container {container} of {where}" if container else f"{where} does not run, or"
        raise SatokenError(f"{of} has no token", why_not)
    path, inside = token["file"]["path"], token["asked"]["container"]
    source = f"{where}, {path} in {inside}"
    state = token["file"]["state"]
    if state != "there" or "payload" not in token:
        said = state if state in ("missing", "unreadable", "empty") else "no token"
        raise SatokenError(f"{source}: the file is {said}", why_not)
    return Given(
        None,
        Claims(token["header"], token["payload"]),
        source,
        pod,
        reviews=tuple(token.get("reviews") or ()),
        unreached=str(token.get("unreached") or ""),
    )


# --- finding it in what was read ------------------------------------------------------------------


def found(content: bytes, source: str) -> Given:
    """The token in what was read, without what people leave around one. Raises Malformed, Broken.

    Where that is beyond doubt it is taken out of base64, broken lines, or other text such as YAML;
    a note says so, since a program that sends the text as it stands is refused.
    """
    text = text_of(content, source)
    word = bare(text)
    if not word:
        raise Malformed(f"{source}: it is empty", "is what should print the token doing so?")
    joined = "".join(word.split())
    broken: Malformed | None = None
    for candidate, note in forms(word, joined):
        token = Sealed(candidate)
        try:
            claims = decode(token)
        except Malformed as error:
            broken = broken or error
            continue
        if not note and candidate != text.strip():
            note = "quotes, or the word Bearer, around it were left out"
        return Given(token, claims, source, notes=(note,) if note else ())
    system, sendable = opaque_system(word)
    if system:
        return Given(Sealed(word), Claims({}, {}), source, opaque=system, sendable=sendable)
    return within(text, word, source, broken)


def text_of(content: bytes, source: str) -> str:
    """What was read as text. Raises Malformed."""
    if len(content) > LIMIT:
        raise Malformed(f"{source}: it is larger than 1 MiB, which no token is")
    # what Windows writes begins with a mark of its encoding
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or any(each < " " and not each.isspace() for each in text[:4096]):
        raise Malformed(f"{source}: it is binary, not a token")
    return text


def forms(word: str, joined: str) -> Iterator[tuple[str, str]]:
    """What a text may be meant as, with what has to be said then."""
    if word == joined:
        yield word, ""
    elif is_jwt(joined):
        yield joined, "it is broken into lines, which were joined"
    inner, times = joined, 0
    while times < 2 and (decoded_once := unbase64(inner)) is not None:
        inner, times = bare(decoded_once), times + 1
        if is_jwt(inner):
            again = "in base64" if times == 1 else "in base64 of base64"
            yield inner, f"it is {again}, and was decoded; no API server takes it like that"


def within(text: str, word: str, source: str, broken: Malformed | None) -> Given:
    """The one token within other text. Raises Malformed, Broken."""
    tokens: dict[Sealed, Claims] = {}
    plain = re.findall(WITHIN, text, re.ASCII)
    encoded = [unbase64(one) or "" for one in re.findall(WITHIN_ENCODED, text)]
    for candidate in (*plain, *map(bare, encoded)):
        if not is_jwt(candidate):
            continue
        token = Sealed(candidate)
        try:
            tokens[token] = decode(token)
        except Malformed:
            continue
    if len(tokens) > 1:
        raise Malformed(f"{source}: there are {len(tokens)} tokens in it", "one at a time, please")
    what = kind_of(text)
    for token, claims in tokens.items():
        return Given(token, claims, source, notes=(f"it was found within {what or 'other text'}",))
    if len(word.split()) > 1:
        raise Malformed(f"{source}: it is {what or 'text'}, and there is no token in it")
    parts = word.count(".") + 1
    if parts == 5 and word.startswith("eyJ"):
        raise Malformed(
            f"{source}: it is an encrypted token (JWE), which only who it is for can read"
        )
    if parts > 1 and word.startswith("eyJ") and broken is not None:
        hint = "is it cut off? A token is one line, often of 900 characters and more"
        raise Broken(f"{source}: {broken.message}", hint) from None
    raise Malformed(
        f"{source}: it is not a token: one word, and no JSON Web Token",
        "static tokens and those of webhooks say nothing of themselves: only their issuer knows",
    )


def kind_of(text: str) -> str:
    """What a text is that should have been a token, by its looks; empty where that says nothing."""
    kind = re.search(r"""^\s*["']?kind["']?\s*:\s*["']?([A-Za-z]{2,40})\b""", text, re.M)
    if kind:
        return "a kubeconfig" if kind[1] == "Config" else f"a manifest of kind {kind[1]}"
    if re.search(r"^\s*(?:export )?[A-Za-z_]\w*=[^=\s]", text, re.M):
        return "variables of a shell"
    if "-----BEGIN " in text:
        return "PEM, a certificate or key"
    if re.search(r"^\s*<(!doctype|html)", text, re.I):
        return "a web page"
    if re.search(r"\bauthorization\s*:", text, re.I):
        return "a header"
    if text.lstrip().startswith(("{", "[")):
        return "JSON"
    return ""
