"""The files of a kubeconfig, read as kubectl reads them, and merged into one."""

import os
from typing import Any

from .documents import Pem, parse_yaml, typed
from .env import Env
from .errors import KubeconfigError
from .world import Sealed

EXTENSIONS = [{"name": str, "extension": object}]
CLUSTER = {
    "server": str,
    "tls-server-name": str,
    "insecure-skip-tls-verify": bool,
    "certificate-authority": str,
    "certificate-authority-data": Pem,
    "proxy-url": str,
    "disable-compression": bool,
    "extensions": EXTENSIONS,
}
EXEC = {
    "command": str,
    "args": [str],
    "env": [{"name": str, "value": str}],
    "apiVersion": str,
    "installHint": str,
    "provideClusterInfo": bool,
    "interactiveMode": str,
}
USER = {
    "client-certificate": str,
    "client-certificate-data": Pem,
    "client-key": str,
    "client-key-data": Pem,
    "token": Sealed,
    "tokenFile": str,
    "as": str,
    "as-uid": str,
    "as-groups": [str],
    "as-user-extra": {None: [str]},
    "username": str,
    "password": Sealed,
    "auth-provider": {"name": str, "config": {None: Sealed}},
    "exec": EXEC,
}
CONTEXT = {"cluster": str, "user": str, "namespace": str}
CONFIG = {
    "kind": str,
    "apiVersion": str,
    "current-context": str,
    "clusters": [{"name": str, "cluster": CLUSTER}],
    "users": [{"name": str, "user": USER}],
    "contexts": [{"name": str, "context": CONTEXT}],
}


def read_config(explicit: str, env: Env) -> dict[str, Any]:
    """All files as one: for a name the first file wins, and the first current-context.

    ``explicit`` is --kubeconfig, and then the only one; empty where it was not given.
    """
    merged: dict[str, Any] = {
        "current-context": "",
        "clusters": {},
        "users": {},
        "contexts": {},
        "files": paths(explicit, env),
        "read": [],
    }
    for path in merged["files"]:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except FileNotFoundError as error:
            if explicit:
                raise KubeconfigError(
                    f"stat {path}: no such file or directory", "--kubeconfig must be there"
                ) from error
            continue
        except OSError as error:
            raise KubeconfigError(f"error loading config file {path}: {error.strerror}") from error
        config = parse_config(path, content)
        merged["read"].append(path)
        merged["current-context"] = merged["current-context"] or config.get("current-context", "")
        for section in ("clusters", "users", "contexts"):
            merged[section] = {**config[section], **merged[section]}
    return merged


def paths(explicit: str, env: Env) -> list[str]:
    """The files to read, of which some may not be there."""
    if explicit:
        return [explicit]
    listed = env.environ.get("KUBECONFIG", "")
    if listed:
        return [path for path in dict.fromkeys(listed.split(os.pathsep)) if path]
    return [os.path.join(home(env), ".kube", "config")]


def home(env: Env) -> str:
    """The home folder, as kubectl finds it on each system."""
    named = env.environ.get("HOME", "")
    if os.name != "nt":
        return named
    drive = env.environ.get("HOMEDRIVE", "") + env.environ.get("HOMEPATH", "")
    homes = [named, drive, env.environ.get("USERPROFILE", "")]
    homes = [path for path in homes if path]
    for path in homes:
        if os.path.exists(os.path.join(path, ".kube", "config")):
            return path
    return homes[0] if homes else ""


def parse_config(path: str, content: bytes) -> dict[str, Any]:
    """One file, with its relative paths made absolute, and its lists made maps by name."""
    try:
        config: dict[str, Any] = typed(parse_yaml(content.decode("utf-8-sig")), CONFIG, "")
        if config.get("kind", "Config") != "Config" or config.get("apiVersion", "v1") != "v1":
            raise ValueError("it is not of kind Config, apiVersion v1")
        for section, field in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            named: dict[str, Any] = {}
            for entry in config.get(section, ()):
                name = entry.get("name", "")
                if name in named:
                    raise ValueError(f'duplicate name "{name}" in {section}')
                named[name] = {**entry.get(field, {}), "file": path}
            config[section] = named
    except UnicodeDecodeError as error:
        raise KubeconfigError(f"error loading config file {path}: it is not UTF-8 text") from error
    except ValueError as error:
        raise KubeconfigError(
            f"error loading config file {path}: {error}",
            f"kubectl config view --kubeconfig {path} must be able to read it, too",
        ) from error
    folder = os.path.dirname(os.path.abspath(path))
    for cluster in config["clusters"].values():
        resolve(cluster, folder, "certificate-authority")
    for user in config["users"].values():
        resolve(user, folder, "client-certificate", "client-key", "tokenFile")
        if os.sep in user.get("exec", {}).get("command", ""):
            resolve(user["exec"], folder, "command")
    return config


def resolve(entry: dict[str, Any], folder: str, *fields: str) -> None:
    """Makes the paths in these fields absolute."""
    for field in fields:
        if entry.get(field):
            entry[field] = os.path.normpath(os.path.join(folder, entry[field]))
