"""Managed fields: who has set a field of a stored object, and when."""

from collections.abc import Iterator
from typing import Any

from .world import Object


def entries(item: Object, *path: str) -> Iterator[Object]:
    """The entries of an object's managedFields that own a field.

    ``path`` is as in fieldsV1: ``"f:data", "f:token"``.
    """
    for entry in item["metadata"].get("managedFields") or []:
        here: Any = entry.get("fieldsV1")
        for field in path:
            here = here.get(field) if isinstance(here, dict) else None
        if here is not None:
            yield entry


def writers(item: Object, *path: str) -> Iterator[str]:
    """The managers that own a field, by the same path."""
    for entry in entries(item, *path):
        yield str(entry.get("manager") or "")
