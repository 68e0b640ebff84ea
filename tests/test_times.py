"""Times and ages."""

import pytest

from kubectl_satoken.times import date, day, lifetime, seconds, words


@pytest.mark.parametrize(
    ("span", "text"),
    [(-5, "0s"), (59.9, "59s"), (119, "1m"), (3599, "59m"), (86399, "23h"), (172800, "2d")],
)
def test_ages_are_cut_to_one_unit(span: float, text: str) -> None:
    assert words(span) == text


@pytest.mark.parametrize(
    ("span", "text"),
    [(59, "59s"), (600, "10m"), (3600, "1h"), (3607, "1h"), (5400, "1.5h"), (86400, "1d")],
)
def test_lifetimes_are_rounded(span: float, text: str) -> None:
    assert lifetime(span) == text


@pytest.mark.parametrize(
    "text", ["2026-11-22T12:00:00Z", "2026-11-22T13:00:00+01:00", "2026-11-22T12:00:00.000000Z"]
)
def test_times_are_seconds_since_the_epoch(text: str) -> None:
    assert seconds(text) == 1795348800


def test_days_are_those_of_utc() -> None:
    assert day("2026-11-22") == seconds("2026-11-22T00:00:00Z")
    assert date(seconds("2026-11-22T23:59:59Z")) == "2026-11-22"


@pytest.mark.parametrize(
    "text", ["", "2026-1-2", "20261122", "2026-W47-7", "2026-13-01", "2026-11-22T00:00:00Z", "-"]
)
def test_what_go_would_not_read_as_a_day_is_none(text: str) -> None:
    assert day(text) is None
