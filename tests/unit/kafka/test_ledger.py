"""The ledger against a naive model of it, and each of its promises by itself."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from worker.kafka.ledger import Ledger


class LedgerMachine(RuleBasedStateMachine):
    """Tracks with gaps, settles in any order, and compares with two plain lists."""

    outstanding = Bundle("outstanding")

    def __init__(self) -> None:
        super().__init__()
        self.ledger: Ledger[str] = Ledger()
        self.tracked: list[int] = []
        self.settled: set[int] = set()
        self.released: list[tuple[int, str | None]] = []
        self.closed_at: tuple[int | None, int] | None = None

    @rule(target=outstanding, gap=st.integers(1, 5))
    def track(self, gap: int) -> int:
        offset = (self.tracked[-1] if self.tracked else -1) + gap
        if self.closed_at is not None:
            with pytest.raises(ValueError, match="closed"):
                self.ledger.track(offset, offset * 10)
            return -1
        self.ledger.track(offset, offset * 10)
        self.tracked.append(offset)
        return offset

    @rule(offset=consumes(outstanding))
    def settle(self, offset: int) -> None:
        if self.closed_at is not None:
            assert self.ledger.settle(offset, "late") == []
            return
        released = self.ledger.settle(offset, f"payload {offset}")
        self.settled.add(offset)
        self.released += released

    @rule(back=st.integers(0, 3))
    def track_what_does_not_follow(self, back: int) -> None:
        if self.tracked:
            with pytest.raises(ValueError, match=r"does not follow|closed"):
                self.ledger.track(self.tracked[-1] - back)

    @rule(offset=st.integers(0, 60))
    def settle_what_is_not_outstanding(self, offset: int) -> None:
        if self.closed_at is None and (offset not in self.tracked or offset in self.settled):
            with pytest.raises(KeyError):
                self.ledger.settle(offset)

    @rule()
    def close(self) -> None:
        self.ledger.close()
        if self.closed_at is None:
            self.closed_at = self.ledger.position, self.ledger.outstanding

    @invariant()
    def agrees_with_the_model(self) -> None:
        prefix: list[int] = []
        for offset in self.tracked:
            if offset not in self.settled:
                break
            prefix.append(offset)
        unsettled = [offset for offset in self.tracked if offset not in self.settled]
        ledger = self.ledger
        assert ledger.position == (prefix[-1] + 1 if prefix else None)
        assert self.released == [(offset, f"payload {offset}") for offset in prefix]
        assert ledger.outstanding == len(unsettled)
        assert ledger.unreleased == len(self.tracked) - len(prefix)
        assert ledger.oldest_timestamp_ms == (unsettled[0] * 10 if unsettled else None)
        assert ledger.first == (self.tracked[0] if self.tracked else None)
        assert ledger.closed == (self.closed_at is not None)
        if unsettled and ledger.position is not None:
            assert ledger.position <= unsettled[0], "a commit here would skip a job"

    @invariant()
    def nothing_moves_after_the_end(self) -> None:
        if self.closed_at is not None:
            assert (self.ledger.position, self.ledger.outstanding) == self.closed_at


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_position_waits_for_the_oldest_and_then_jumps() -> None:
    ledger: Ledger[str] = Ledger()
    for offset in (5, 6, 9):
        ledger.track(offset)
    assert ledger.settle(9, "nine") == []
    assert ledger.settle(6, "six") == []
    assert ledger.position is None
    assert ledger.settle(5, "five") == [(5, "five"), (6, "six"), (9, "nine")]
    assert ledger.position == 10


def test_a_job_cannot_settle_twice() -> None:
    ledger: Ledger[None] = Ledger()
    ledger.track(0)
    ledger.track(1)
    ledger.settle(1)
    with pytest.raises(KeyError):
        ledger.settle(1)
    ledger.settle(0)
    with pytest.raises(KeyError):
        ledger.settle(0)


def test_what_finishes_after_the_end_is_ignored_and_position_stays_readable() -> None:
    ledger: Ledger[None] = Ledger()
    ledger.track(3)
    ledger.track(4)
    ledger.settle(3)
    ledger.close()
    assert ledger.settle(4) == []
    assert ledger.position == 4


def test_what_is_no_job_is_passed_over_only_when_nothing_is_left() -> None:
    ledger: Ledger[None] = Ledger()
    ledger.advance_to(3)
    assert ledger.position == 3
    ledger.track(4)
    ledger.track(5)
    ledger.settle(5)
    ledger.advance_to(7)
    assert ledger.position == 3, "4 is outstanding"
    ledger.settle(4)
    assert ledger.position == 6
    ledger.advance_to(8)
    assert ledger.position == 8
    ledger.advance_to(7)
    assert ledger.position == 8, "it never decreases"
    ledger.close()
    ledger.advance_to(9)
    assert ledger.position == 8
