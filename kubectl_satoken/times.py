"""Times as Kubernetes writes them, in seconds since the epoch, and ages in kubectl's words."""

from datetime import UTC, datetime


def seconds(text: str) -> float:
    """An RFC 3339 time as seconds since the epoch. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def moment(value: object) -> float | None:
    """A time that a token claims: seconds since the epoch; None where it is no time that is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # the years that datetime knows; NaN is in no range
    return float(value) if -62135596800 <= value < 253402300800 else None


def timestamp(moment: float) -> str:
    """A time in seconds as Kubernetes writes it: 2026-11-22T12:00:00Z."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(text: str) -> float | None:
    """When a day begins (UTC) that is written as 2026-11-22; None for any other text."""
    # fromisoformat alone takes 20261122 and 2026-W47-7 as well
    if len(text) != 10 or not text.replace("-", "", 2).isdecimal():
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def date(moment: float) -> str:
    """The day (UTC) of a time in seconds: 2026-11-22."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


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
