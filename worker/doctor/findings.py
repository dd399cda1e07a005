"""What a check has found, and running all checks at once within a bound."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from worker.redaction import without_secrets

__all__ = ["Check", "Finding", "Status", "examine"]


class Status(enum.StrEnum):
    """The state of what was looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        subject: what was looked at.
        found: what there is.
        remedy: what to do; empty where there is nothing to do.
    """

    subject: str
    status: Status
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at.

    Attributes:
        subject: named when the check itself fails, or takes too long.
        look: finds; called in a thread of its own.
    """

    subject: str
    look: Callable[[], Sequence[Finding]]


def examine(checks: Sequence[Check], timeout: float) -> Iterator[Finding]:
    """Run all checks at once.

    Args:
        timeout: seconds, in all; what takes longer is left behind, in a thread that ends with the
            process.

    Yields:
        Their findings in the order of `checks`, without secrets, each as soon as it is known.
    """
    deadline = time.monotonic() + timeout
    for run in [_Run(check) for check in checks]:
        for finding in run.findings(deadline):
            found, remedy = without_secrets(finding.found), without_secrets(finding.remedy)
            yield Finding(finding.subject, finding.status, found, remedy)


class _Run:
    """A check in its thread."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._began = time.monotonic()
        self._found: Sequence[Finding] | None = None
        # A daemon: a name server that never answers must not hold up the end.
        self._thread = threading.Thread(target=self._look, name=check.subject, daemon=True)
        self._thread.start()

    def findings(self, deadline: float) -> Sequence[Finding]:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        found = self._found
        if found is not None:
            return found
        seconds = time.monotonic() - self._began
        return [
            Finding(
                self._check.subject,
                Status.FAIL,
                f"nothing was found out within {seconds:.0f} s",
                "try again with a larger --timeout; if it stays so, this is what hangs",
            )
        ]

    def _look(self) -> None:
        try:
            self._found = self._check.look()
        except Exception as error:  # noqa: BLE001 - one check that fails must not hide the others
            what = f"the check itself failed: {type(error).__name__}: {error}"
            self._found = [Finding(self._check.subject, Status.FAIL, what, "report this as a bug")]
