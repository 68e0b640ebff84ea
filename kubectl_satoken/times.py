"""Times as Kubernetes writes them, in seconds since the epoch, and ages in kubectl's words."""

from datetime import UTC, datetime


def seconds(text: str) -> float:
    """An RFC 3339 time as seconds since the epoch. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def words(span: float) -> str:
    """A span of seconds as kubectl shows ages: 45s, 12m, 5h, 3d (duration.ShortHumanDuration)."""
    span = max(0, int(span))
    if span < 120:
        return f"{span}s"
    if span < 2 * 3600:
        return f"{span // 60}m"
    if span < 48 * 3600:
        return f"{span // 3600}h"
    return f"{span // 86400}d"
