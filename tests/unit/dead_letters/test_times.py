"""Moments that people write."""

from __future__ import annotations

import pytest

from worker.dead_letters.times import moment_ms, moment_text
from worker.errors import SettingsError

NOW = 1_795_486_969.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 1_795_486_879_000),
        ("2h", 1_795_479_769_000),
        ("1.5 d", 1_795_357_369_000),
        ("2026-11-24", 1_795_478_400_000),
        ("2026-11-24T10:30", 1_795_516_200_000),
        ("2026-11-24T12:30+02:00", 1_795_516_200_000),
        ("1795516200000", 1_795_516_200_000),
        # Brokers take no moments before 1970.
        ("999999999999w", 0),
        ("0001-01-01", 0),
    ],
)
def test_moments(text: str, expected: int) -> None:
    assert moment_ms(text, NOW, "--since") == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2x", "-1h", "20261399", "9" * 20, "9" * 400 + "s"]
)
def test_others_are_refused_with_examples(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--since .* is no moment: write 2h"):
        moment_ms(text, NOW, "--since")


def test_a_timestamp_as_text() -> None:
    assert moment_text(1_795_516_200_123) == "2026-11-24T10:30:00.123Z"
    assert (moment_text(-1), moment_text(None), moment_text(10**17)) == (None, None, None)
