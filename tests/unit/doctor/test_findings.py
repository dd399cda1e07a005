"""Checks run at once, within a bound, and none hides another."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from worker.doctor.findings import Check, Finding, Status, examine

FINE = Finding("Fine", Status.OK, "all is well")


def raising() -> Sequence[Finding]:
    raise LookupError("defect at https://user:hunter2@example.org/?token=1")


def test_findings_come_in_order_whoever_is_first() -> None:
    second_done = threading.Event()

    def first() -> Sequence[Finding]:
        assert second_done.wait(60)
        return [Finding("First", Status.OK, "a"), Finding("First", Status.WARN, "b")]

    def second() -> Sequence[Finding]:
        second_done.set()
        return [FINE]

    found = list(examine([Check("First", first), Check("Second", second)], 60))
    assert [finding.found for finding in found] == ["a", "b", "all is well"]


def test_a_check_that_fails_costs_itself() -> None:
    raised, fine = examine([Check("Raises", raising), Check("Fine", lambda: [FINE])], 60)
    assert (raised.subject, raised.status) == ("Raises", Status.FAIL)
    assert "LookupError: defect at https://[redacted]@example.org/" in raised.found
    assert "token" not in raised.found
    assert fine == FINE


def test_a_check_that_hangs_is_named_and_left_behind() -> None:
    end = threading.Event()

    def hanging() -> Sequence[Finding]:
        end.wait()
        return [FINE]

    try:
        (hangs,) = examine([Check("Hangs", hanging)], 0.0)
    finally:
        end.set()
    assert (hangs.subject, hangs.status) == ("Hangs", Status.FAIL)
    assert "--timeout" in hangs.remedy


def test_no_secret_is_shown() -> None:
    secret = Finding("URLs", Status.FAIL, "https://a:b@host/x?key=1", "see https://a:b@host/y?k=2")
    (shown,) = examine([Check("URLs", lambda: [secret])], 60)
    assert shown.found == "https://[redacted]@host/x?[redacted]"
    assert shown.remedy == "see https://[redacted]@host/y?[redacted]"
