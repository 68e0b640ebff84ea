"""A kubeconfig for a minted token: made from the one that is in use, or added to one that is there.

Adding changes as little text as can be: comments, order and fields that only others know stay. It
is done under kubectl's own lock, with a copy of the file as it was, and through a draft that takes
the file's place (see secret_file.py), so that no reader ever finds half of it.
"""

import json
import os
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from .env import Env
from .errors import KubeconfigError, UsageError
from .kubeconfig import Overrides, Target, read_pem, select_cluster, select_context
from .kubeconfig_files import parse_config, paths, read_config
from .secret_file import OWN, put
from .urls import without_login
from .world import Object, Sealed

if TYPE_CHECKING:
    from collections.abc import Iterator

# The extension of a user by which we know our own; kubectl keeps extensions as they are.
EXTENSION = "kubectl-satoken"
BACKUP = ".satoken-backup"
PATIENCE = 5.0  # seconds that another kubectl is given to finish its write

CA = "certificate-authority"
SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}


class Entries(NamedTuple):
    """What a kubeconfig needs for one user. ``user`` holds a credential, so it comes sealed JSON.

    ``name`` is that of the user and of the context.
    """

    name: str
    cluster_name: str
    cluster: Object
    user: Sealed
    namespace: str
    account: str


# --- from the kubeconfig that is in use -----------------------------------------------------------


def entries(
    target: Target, overrides: Overrides, env: Env, namespace: str, account: str, user: Sealed
) -> Entries:
    """The entries for an account, on the cluster that the flags mean. Raises KubeconfigError."""
    name, cluster = cluster_entry(target, overrides, env)
    return Entries(f"{namespace}/{account}@{name}", name, cluster, user, namespace, account)


def cluster_entry(target: Target, overrides: Overrides, env: Env) -> tuple[str, Object]:
    """The cluster by name, as it stands in the kubeconfig but with its CA in it.

    A login in the server's URL is left out: Go would send it instead of the token.
    """
    from base64 import b64encode
    from urllib.parse import urlsplit

    cluster: Object = {"server": target.server}
    name = target.cluster
    if name or target.user != "in-cluster":
        config = read_config(overrides.kubeconfig, env)
        _, context = select_context(config, overrides)
        name, found = select_cluster(config, context, overrides, env)
        kept = {field: value for field, value in found.items() if not field.startswith(CA)}
        cluster = {**kept, "server": without_login(found["server"])}
    if target.ca is not None:
        cluster[f"{CA}-data"] = b64encode(target.ca.encode()).decode()
    return name or urlsplit(target.server).netloc, cluster


def token_user(token: Sealed, account: str) -> Sealed:
    """A user with a token."""
    return Sealed(json.dumps({"token": token.reveal(), "extensions": mark(account)}))


def exec_user(plugin: Object, account: str) -> Sealed:
    """A user whose token an exec plugin gets; there is no secret in it."""
    return Sealed(json.dumps({"exec": plugin, "extensions": mark(account)}))


def mark(account: str) -> list[Object]:
    """By what we know a user of ours again."""
    return [{"name": EXTENSION, "extension": {"account": account}}]


def new_config(made: Entries) -> Sealed:
    """A kubeconfig of its own."""
    config: Object = {"apiVersion": "v1", "kind": "Config", "current-context": made.name}
    for section, entry in items(made):
        config[section] = [entry]
    return Sealed(dumped(config))


def items(made: Entries) -> "Iterator[tuple[str, Object]]":
    """The entries by section, as they stand in a kubeconfig."""
    user: Object = json.loads(made.user.reveal())
    context = {"cluster": made.cluster_name, "user": made.name, "namespace": made.namespace}
    for (section, field), value in zip(
        SECTIONS.items(), (made.cluster, user, context), strict=True
    ):
        yield (
            section,
            {"name": made.name if field != "cluster" else made.cluster_name, field: value},
        )


# --- added to one that is there -------------------------------------------------------------------


class Merged(NamedTuple):
    """What was done: the file, the context in it, and what has to be said of it."""

    path: str
    context: str
    notes: tuple[str, ...]


def default_file(overrides: Overrides, env: Env) -> str:
    """The file that ``kubectl config`` would add to (PathOptions.GetDefaultFilename)."""
    listed = paths(overrides.kubeconfig, env)
    return next((path for path in listed if os.path.exists(path)), listed[-1])


def merge(path: str, made: Entries) -> Merged:
    """Adds entries to a kubeconfig, or puts them in the place of what we added before.

    The current context stays as it is, unless there was nothing. Raises UsageError where a name
    is somebody else's, KubeconfigError where the file cannot be read or locked.
    """
    path = os.path.abspath(path)
    # kubectl locks the name that it was given, and writes through a link: so do we, by its target
    real = os.path.realpath(path)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    lock = locked(path)
    try:
        notes: list[str] = []
        try:
            with open(real, "rb") as file:
                content = file.read()
                status = os.fstat(file.fileno())
        except FileNotFoundError:
            put(real, new_config(made))
            return Merged(path, made.name, ())
        except OSError as error:
            raise KubeconfigError(
                f"cannot read {path}: {(error.strerror or '').lower()}"
            ) from error
        config = parse_config(path, content)
        made = named_apart(made, config, path)
        before = Sealed(content.decode("utf-8-sig"))
        after, kept = with_entries(before, made)
        if not kept:
            notes.append(f"the layout and comments of {path} could not be kept: see the backup")
        confirm_merged(path, after, config, made)
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            notes.append(f"{path} was open to others (mode {mode:04o}) and is now yours alone")
        put(f"{real}{BACKUP}", before)
        put(real, after, OWN, (status.st_uid, status.st_gid))
        notes.append(f"what it was before is in {path}{BACKUP}")
        return Merged(path, made.name, tuple(notes))
    finally:
        with suppress(OSError):
            os.unlink(lock)


def locked(path: str) -> str:
    """Takes the lock that kubectl takes to write a kubeconfig; returns its file."""
    lock = f"{path}.lock"
    until = time.monotonic() + PATIENCE
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0))
            return lock
        except FileExistsError as error:
            if time.monotonic() > until:
                raise KubeconfigError(
                    f"{lock} is there: another kubectl is writing {path}",
                    "if none is, one was killed while it did: remove the lock file",
                ) from error
            time.sleep(0.05)
        except OSError as error:
            raise KubeconfigError(
                f"cannot lock {path}: {(error.strerror or '').lower()}"
            ) from error


def named_apart(made: Entries, config: Mapping[str, Any], path: str) -> Entries:
    """The entries with names that are free, are ours, or mean the same. Raises UsageError."""
    there = config["clusters"]
    base, number = made.cluster_name, 1
    name = base
    while name in there and not same_cluster(there[name], made.cluster):
        number += 1
        name = f"{base}-{number}"
    made = made._replace(
        name=f"{made.namespace}/{made.account}@{name}",
        cluster_name=name,
    )
    context = config["contexts"].get(made.name)
    wanted = {"cluster": name, "user": made.name, "namespace": made.namespace}
    if context is not None and {k: v for k, v in context.items() if k in wanted} != wanted:
        raise taken("context", made.name, path)
    return made


def taken(what: str, name: str, path: str) -> UsageError:
    """The error for a name that somebody else gave."""
    return UsageError(
        f'{path} has a {what} "{name}" that is not from kubectl satoken mint',
        f"rename or remove it: kubectl config --kubeconfig {path} --help",
    )


def same_cluster(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two cluster entries lead to the same place, wherever their CA is kept."""
    fields = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")
    if any(one.get(field) != other.get(field) for field in fields):
        return False
    from base64 import b64decode

    try:
        pem = read_pem(one, CA)
    except KubeconfigError:
        return False
    data = other.get(f"{CA}-data")
    return (pem or "") == (b64decode(data).decode(errors="replace") if data else "")


def with_entries(before: Sealed, made: Entries) -> tuple[Sealed, bool]:
    """The text of a kubeconfig with entries added, and whether its layout and comments stayed.

    Where its layout is beyond us, all of it is written anew as JSON, which every reader takes.
    Raises UsageError where a user of that name is not ours.
    """
    from .documents import parse_yaml

    text = before.reveal()
    wanted = parse_yaml(text)
    if wanted is None:
        gap = "\n" if text and not text.endswith("\n") else ""
        return Sealed(f"{text}{gap}{new_config(made).reveal()}"), True
    edited = text
    try:
        for section, entry in items(made):
            present = wanted.get(section) or []
            index = next((i for i, e in enumerate(present) if e.get("name") == entry["name"]), None)
            if index is None:
                wanted[section] = [entry, *present]
                edited = inserted(edited, section, entry)
            elif section == "users":
                if not is_ours(present[index]):
                    raise taken("user", made.name, "the kubeconfig")
                present[index] = entry
                edited = replaced(edited, section, index, entry)
        if parse_yaml(edited) == wanted:
            return Sealed(edited), True
    except (ValueError, TypeError, AttributeError, LookupError):
        pass
    return Sealed(json.dumps(wanted, indent=2) + "\n"), False


def is_ours(entry: Mapping[str, Any]) -> bool:
    """Whether we wrote a user's entry."""
    extensions = (entry.get("user") or {}).get("extensions") or []
    return any(each.get("name") == EXTENSION for each in extensions)


def confirm_merged(path: str, after: Sealed, config: Mapping[str, Any], made: Entries) -> None:
    """Raises KubeconfigError unless the new text has all that was there, and what was added."""
    new = parse_config(path, after.reveal().encode())
    for section in SECTIONS:
        for name, entry in config[section].items():
            if new[section].get(name) != entry and not (section == "users" and name == made.name):
                raise KubeconfigError(f"{path} was not changed: {section} would have lost {name}")
    if made.name not in new["contexts"] or made.name not in new["users"]:
        raise KubeconfigError(f"{path} was not changed: the context would not be there")


# --- text -----------------------------------------------------------------------------------------


def inserted(text: str, section: str, entry: Object) -> str:
    """The text with an entry as the first of a list, which may be missing."""
    root = composed(text)
    node = child(root, section)
    if node is None:
        if root.flow_style:
            start = root.start_mark.index + 1
            more = ", " if root.value else ""
            return f"{text[:start]}{json.dumps(section)}: [{json.dumps(entry)}]{more}{text[start:]}"
        start, column = root.start_mark.index, root.start_mark.column
        item = indented(dumped({section: [entry]}), column)
        return f"{text[:start]}{item}\n{' ' * column}{text[start:]}"
    start, end, column = node.start_mark.index, node.end_mark.index, node.start_mark.column
    if not isinstance(node.value, list):  # null, written or not
        item = indented(dumped([entry]), root.start_mark.column)
        return f"{text[:start].rstrip(' ')}\n{' ' * root.start_mark.column}{item}{text[end:]}"
    if node.flow_style:
        more = ", " if node.value else ""
        return f"{text[: start + 1]}{json.dumps(entry)}{more}{text[start + 1 :]}"
    return f"{text[:start]}{indented(dumped([entry]), column)}\n{' ' * column}{text[start:]}"


def replaced(text: str, section: str, index: int, entry: Object) -> str:
    """The text with another entry in the place of one; comments behind it stay."""
    node = child(composed(text), section).value[index]
    start, end, column = node.start_mark.index, node.end_mark.index, node.start_mark.column
    if node.flow_style:
        return f"{text[:start]}{json.dumps(entry)}{text[end:]}"
    lines = text[start:end].splitlines(keepends=True)
    behind: list[str] = []
    while len(lines) > 1 and lines[-1].strip()[:1] in ("", "#"):
        behind.insert(0, lines.pop())
    return f"{text[:start]}{indented(dumped(entry), column)}\n{''.join(behind)}{text[end:]}"


def composed(text: str) -> Any:
    """The first document as nodes, which know where they stand."""
    import yaml

    return next(yaml.compose_all(text, Loader=yaml.SafeLoader))


def child(node: Any, key: str) -> Any:
    """The value of a mapping node, as a node."""
    return next((value for name, value in node.value if name.value == key), None)


def indented(text: str, column: int) -> str:
    """Lines of YAML, of which all but the first are moved to a column."""
    return text.rstrip("\n").replace("\n", "\n" + " " * column)


def dumped(value: Any) -> str:
    """YAML that kubectl and everybody else reads alike."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """One that quotes what only some readers take for a boolean, keeps lines, and repeats
        no objects."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def quoted(dumper: Any, text: str) -> Any:
        style = "|" if "\n" in text else '"' if text in ("y", "Y", "n", "N") else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, quoted)
    written: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, width=1 << 30)
    return written
