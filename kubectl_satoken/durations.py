"""Durations as Go writes them (``1h30m``), which is how kubectl takes them."""

SECOND = 1_000_000_000  # nanoseconds, in which Go counts
UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro sign
    "μs": 1_000,  # U+03BC, Greek letter mu
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
LIMIT = 1 << 63


def nanoseconds(text: str) -> int:
    """A duration by the rules of time.ParseDuration. Raises ValueError with Go's own words."""
    rest = text[1:] if text[:1] in ("-", "+") else text
    negative = text[:1] == "-"
    if rest == "0":
        return 0
    total = 0
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    while rest:
        number = leading(rest, "0123456789.")
        whole, point, fraction = number.partition(".")
        if not (whole or fraction) or "." in fraction:
            raise ValueError(f'time: invalid duration "{text}"')
        rest = rest[len(number) :]
        unit = rest[: next((i for i, c in enumerate(rest) if c in "0123456789."), len(rest))]
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in UNITS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        rest = rest[len(unit) :]
        total += int(whole or "0") * UNITS[unit]
        if fraction:
            total += int(fraction) * UNITS[unit] // 10 ** len(fraction)
        if total > LIMIT or (total == LIMIT and not negative):
            raise ValueError(f'time: invalid duration "{text}"')
    return -total if negative else total


def leading(text: str, characters: str) -> str:
    """The characters of a set that a text begins with."""
    return text[: len(text) - len(text.lstrip(characters))]


def written(seconds: int) -> str:
    """Seconds as a duration that Go reads: ``3607s``."""
    return f"{seconds}s"
