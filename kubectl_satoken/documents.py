"""What people and programs wrote: files, PEM in base64, YAML as kubectl reads it.

Errors name the place and never quote the content, which may hold secrets.
"""

import re
from base64 import b64decode
from typing import Any

from .errors import KubeconfigError
from .world import Sealed


class Pem:
    """The shape of a ``-data`` field: PEM in base64."""


WORDS = {str: "a string", bool: "true or false", Sealed: "a string"}


def read_text(path: str, what: str) -> str:
    """The text of a file, which may hold a secret. Raises KubeconfigError, naming ``what``."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"unable to read {what} {path}: {unreadable(error)}") from error


def unreadable(error: Exception) -> str:
    """Why a file cannot be used. ValueError: its name holds a NUL, or it is not text."""
    return getattr(error, "strerror", None) or "invalid argument"


def pem_data(base64: str, what: str) -> str:
    """The PEM text of a ``-data`` field. Raises KubeconfigError, naming ``what``."""
    try:
        # Line breaks are all that Go overlooks.
        data = b64decode(base64.replace("\n", "").replace("\r", ""), validate=True)
    except ValueError as error:
        raise KubeconfigError(f"{what} is not base64", "it is PEM, encoded once more") from error
    return data.decode(errors="replace")


def parse_yaml(text: str) -> Any:
    """The first document of a YAML (or JSON) text, as kubectl's parser would have it.

    Timestamps and base-60 numbers stay strings, ``y`` and ``n`` are booleans. Raises ValueError,
    whose text says where and why, and quotes nothing of the document: it may hold secrets.
    """
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    strings = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")

    class Loader(base):  # type: ignore[misc, valid-type]
        yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in resolvers if tag not in strings]
            for first, resolvers in base.yaml_implicit_resolvers.items()
        }
        bool_values = {**base.bool_values, "y": True, "n": False}

    def number(loader: Any, node: Any) -> Any:
        if ":" in node.value:
            return loader.construct_scalar(node)
        if node.tag.endswith("int"):
            return loader.construct_yaml_int(node)
        return loader.construct_yaml_float(node)

    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[yYnN]$"), list("yYnN"))
    Loader.add_constructor("tag:yaml.org,2002:int", number)
    Loader.add_constructor("tag:yaml.org,2002:float", number)
    try:
        loader = Loader(text)
        try:
            return loader.get_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        why = getattr(error, "problem", None) or "not YAML"
        raise ValueError(where + re.sub(r"(['\"]).*\1", "...", why)) from None
    except (RecursionError, ValueError, TypeError) as error:  # of the constructors
        raise ValueError("not YAML that kubectl reads") from error


def typed(value: Any, shape: Any, where: str) -> Any:
    """The value if it has the shape, without unknown and empty fields. Raises ValueError.

    What JSON calls null is empty, as in Go. The errors name the place, never the value.
    """
    if shape is object:
        return value
    if isinstance(shape, dict):
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ValueError(f"{where or 'it'} must be a mapping")
        fields = {}
        for key, child in value.items():
            name = str(key).lower() if isinstance(key, bool) else str(key)
            child_shape = shape.get(name, shape.get(None))
            # A pointer in Go: exec: {} is an exec plugin without command, exec: null is none.
            if child_shape is None or child is None:
                continue
            found = typed(child, child_shape, f"{where}.{name}" if where else name)
            if found or isinstance(found, dict) or None in shape:
                fields[name] = found
        return fields
    if isinstance(shape, list):
        if value is None:
            return []
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list")
        return [typed(child, shape[0], f"{where}[{i}]") for i, child in enumerate(value)]
    if shape is Pem:
        try:
            return Sealed(pem_data(typed(value, str, where), where))
        except KubeconfigError as error:
            raise ValueError(error.message) from error
    kind = str if shape is Sealed else shape
    if value is None:
        return shape("")
    if not isinstance(value, kind):
        quote = ": put it in quotes" if isinstance(value, int | float) and kind is str else ""
        raise ValueError(f"{where} must be {WORDS[shape]}{quote}")
    return shape(value)
