"""Events: what was last said of an object, how often, and whether that is still so.

Whoever writes an event again counts it up: in ``count`` and ``lastTimestamp`` (core/v1 as kubelet
and controllers use it), or in ``series`` (events.k8s.io). They are gone after an hour, so that none
is there proves nothing.
"""

from .times import seconds
from .world import Object, World

# The kubelet tries a volume again after two minutes at the latest
# (pkg/util/goroutinemap/exponentialbackoff), but tells of it no more than every five minutes once
# it has told a lot (tools/record/events_cache.go of client-go).
KUBELET_PATIENCE = 600

# Controllers wait up to 1000 seconds before they try to make a pod again (DefaultItemBased rate
# limiter of client-go).
CONTROLLER_PATIENCE = 1200


def last_seen(event: Object) -> str:
    """When an event was last written, as Kubernetes writes times; empty where it does not say."""
    return str(
        (event.get("series") or {}).get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def first_seen(event: Object) -> str:
    """When an event was first written; empty where it does not say."""
    return str(
        event.get("firstTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def times(event: Object) -> int:
    """How often it happened."""
    count = (event.get("series") or {}).get("count") or event.get("count") or 1
    return count if isinstance(count, int) else 1


def age(moment: str, world: World) -> float:
    """Seconds since a time; none for what is no time, since that says nothing against it."""
    try:
        return max(0.0, world.now() - seconds(moment))
    except ValueError:
        return 0.0


def is_fresh(event: Object, world: World, patience: float) -> bool:
    """Whether who wrote an event would have written it again by now if it were still so."""
    return age(last_seen(event), world) <= patience


def keeps_on(event: Object) -> bool:
    """Whether it has happened for more than a minute, and more than three times.

    What is said once or twice while a pod, a kubelet or an API server starts, is a race that the
    next attempt wins.
    """
    if times(event) <= 3:
        return False
    try:
        return seconds(last_seen(event)) - seconds(first_seen(event)) > 60
    except ValueError:
        return True


def about(event: Object, uid: str) -> bool:
    """Whether an event is about the object with that uid, rather than an older of its name."""
    said = str((event.get("involvedObject") or {}).get("uid") or "")
    return not said or not uid or said == uid


def newest(events: list[Object]) -> list[Object]:
    """The same events, the newest first."""
    return sorted(events, key=last_seen, reverse=True)
