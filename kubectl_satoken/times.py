"""Times as Kubernetes writes them, in seconds since the epoch, and ages in kubectl's words."""

from datetime import UTC, datetime


def seconds(text: str) -> float:
    """An RFC 3339 time as seconds since the epoch. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def lifetime(span: float) -> str:
    """A lifetime in seconds to the tenth of its largest unit: 1h for the usual 3607 seconds."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if span >= size:
            return f"{round(span / size, 1):g}{unit}"
    return f"{span:g}s"


def words(span: float) -> str:
    """An age in seconds, cut to one unit as by duration.ShortHumanDuration: 45s, 12m, 5h, 3d."""
    span = max(0, int(span))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if span >= size:
            return f"{span // size}{unit}"
    return f"{span}s"
