"""Durations in all spellings, and one label for all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.settings.durations import duration_label, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("10s", 10.0),
        (" 10 s ", 10.0),
        ("1m", 60.0),
        ("1.5m", 90.0),
        ("0.1m", 6.0),
        (".5s", 0.5),
        ("250ms", 0.25),
        ("1h", 3600.0),
        ("1d", 86_400.0),
        ("15", 15.0),
        ("0.25", 0.25),
    ],
)
def test_durations_are_read_with_their_unit_or_as_seconds(written: str, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize("written", ["", "s", "ten", "10 sec", "-1s", "1m30s", "1e3", "nan", "٣s"])
def test_other_text_is_refused_with_what_to_write(written: str) -> None:
    with pytest.raises(ValueError, match="write 500ms, 10s, 1m, 1h or a number of seconds"):
        parse_duration(written)


def test_numbers_are_left_to_the_setting() -> None:
    assert parse_duration(5) == 5
    assert parse_duration(None) is None


@pytest.mark.parametrize(
    ("seconds", "label"),
    [(10, "10s"), (60, "1m"), (90, "90s"), (600, "10m"), (3600, "1h"), (0.25, "250ms")],
)
def test_a_label_has_the_largest_unit_that_fits(seconds: float, label: str) -> None:
    assert duration_label(seconds) == label


@given(st.integers(1, 86_400_000))
def test_a_label_is_read_as_the_duration_that_it_names(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(duration_label(seconds)) == seconds
