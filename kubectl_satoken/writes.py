"""The writes that end tokens: each for the very object that was looked at, and no other.

A uid, and where something is changed or copied a resourceVersion, goes with every write, so what
was changed or made anew in between is left alone (409 Conflict). With ``dry_run`` the API server
checks all of it, rights and admission too, and stores nothing.
"""

from typing import TYPE_CHECKING

from .cluster import path_of
from .errors import AlreadyExists, ServerError, TooManyRequests, Unreachable
from .world import KINDS, Object, Ref

if TYPE_CHECKING:
    from .cluster import Api

DRY_RUN = (("dryRun", "All"),)
MERGE = "application/merge-patch+json"

# Of an account that is made again, what belongs to the old one alone.
SERVER_FIELDS = (
    *("uid", "resourceVersion", "creationTimestamp", "generation", "selfLink", "managedFields"),
    *("deletionTimestamp", "deletionGracePeriodSeconds"),
)
PROBE_NAME = "satoken-dry-run-"


def identity(item: Object) -> Ref:
    """What an object is called."""
    metadata = item["metadata"]
    return Ref(item["kind"], metadata.get("namespace", ""), metadata["name"])


def delete(
    api: "Api",
    item: Object,
    *,
    grace: int | None = None,
    whole: bool = False,
    dry_run: bool = False,
) -> None:
    """Deletes an object, if it is still the one that was looked at.

    ``whole``: only if nothing in it has changed, either. ``grace`` is the time in seconds that a
    pod gets to end. Raises ApiError.
    """
    ref, metadata = identity(item), item["metadata"]
    only_if = {"uid": metadata["uid"]}
    if whole:
        only_if["resourceVersion"] = metadata["resourceVersion"]
    options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": only_if}
    if grace is not None:
        options["gracePeriodSeconds"] = grace
    if dry_run:
        # in here: with a body the API server does not look at the query of a DELETE
        options["dryRun"] = ["All"]
    api.request("DELETE", path_of(KINDS[ref.kind], ref.namespace, ref.name), options)


def patch(
    api: "Api", item: Object, change: Object, *, whole: bool = True, dry_run: bool = False
) -> Object:
    """Merges a change into an object, if it is the one, and ``whole`` as it was, that was looked
    at. Raises ApiError."""
    ref, metadata = identity(item), item["metadata"]
    only_if = {"uid": metadata["uid"]}
    if whole:
        only_if["resourceVersion"] = metadata["resourceVersion"]
    body = {**change, "metadata": {**change.get("metadata", {}), **only_if}}
    path = path_of(KINDS[ref.kind], ref.namespace, ref.name)
    query = DRY_RUN if dry_run else ()
    changed: Object = api.request("PATCH", path, body, query, content_type=MERGE)
    return changed


def again(item: Object) -> Object:
    """The manifest that makes an object again as it was, under a new uid."""
    metadata = {k: v for k, v in item["metadata"].items() if k not in SERVER_FIELDS}
    return {**item, "metadata": metadata}


def create(api: "Api", manifest: Object, *, dry_run: bool = False) -> Object:
    """Makes an object. Raises ApiError.

    For a ``dry_run`` under another name: that of the object is still taken.
    """
    body, metadata = manifest, manifest["metadata"]
    if dry_run:
        nameless = {k: v for k, v in metadata.items() if k != "name"}
        body = {**manifest, "metadata": {**nameless, "generateName": PROBE_NAME}}
    path = path_of(KINDS[manifest["kind"]], metadata["namespace"])
    made: Object = api.request("POST", path, body, DRY_RUN if dry_run else ())
    return made


def recreate(api: "Api", manifest: Object, uid: str) -> Object:
    """Makes an object again whose last version, of that uid, was deleted. Raises SatokenError.

    A controller may be quicker, as that of the accounts named default is: then the one that it made
    gets what ours had. A server that is out for a moment is asked again.
    """
    import time

    ref = identity(manifest)
    path = path_of(KINDS[ref.kind], ref.namespace, ref.name)
    for wait in (0.5, 1.0, 2.0, 4.0, None):
        try:
            return create(api, manifest)
        except AlreadyExists:
            found: Object = api.request("GET", path)
            if found["metadata"].get("uid") != uid:
                return patch(api, {**found, "kind": ref.kind}, manifest)
            if wait is None:  # it is on its way out still
                raise
        except (ServerError, TooManyRequests, Unreachable):
            if wait is None:
                raise
        time.sleep(wait)
    raise AssertionError
