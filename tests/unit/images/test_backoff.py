from __future__ import annotations

import pytest

from worker.images.backoff import backoff_delay, parse_retry_after


def upper(low: float, high: float) -> float:
    assert low == 0.0
    return high


def test_the_bound_doubles_up_to_the_longest() -> None:
    bounds = [backoff_delay(attempt, 0.2, 5.0, upper) for attempt in range(1, 9)]
    assert bounds == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0])


def test_many_attempts_do_not_overflow() -> None:
    assert backoff_delay(100_000, 0.2, 5.0, upper) == 5.0


def test_jitter_is_full() -> None:
    delays = [backoff_delay(3, 0.2, 5.0) for _ in range(1000)]
    assert all(0 <= delay <= 0.8 for delay in delays)
    assert min(delays) < 0.1
    assert max(delays) > 0.7


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("9" * 400, float("inf")),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("٣", None),
        ("Thu, 99 Foo 1970", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, now=40.0) == seconds
