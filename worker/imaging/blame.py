"""Which call has the blame for the end of an image process; the others are made again. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

from worker.errors import Stage
from worker.imaging.call import Call, DiedError, OrphanedError
from worker.imaging.process import ImageProcess

__all__ = ["errors_of_calls"]

MOST_LOST = 3
"""Processes that may end with a call as their first one and in none; then it has the blame."""


def errors_of_calls(
    process: ImageProcess, died: DiedError | None
) -> Iterator[tuple[Call, Exception | None]]:
    """Blame the call that ran, and no other.

    Args:
        process: one that has ended.
        died: how; None if it was never there.

    Returns:
        Each of its calls, with the error that it ends with; None if it is to be done elsewhere.
    """
    orphaned = died is not None and died.cause == "parent"
    first = process.calls[0] if process.calls else None
    for call in (*process.calls, *process.draws):
        ran = call.number == process.ended_in
        begun = ran or (call is first and process.proved)
        if orphaned and call.wanted and (begun or call.stage is Stage.DRAW):
            # Any call that ran may be the cause: who makes it again finds out.
            yield call, OrphanedError(begun=begun)
            continue
        blamed = ran and died is not None and not orphaned
        if begun and not ran and died is not None and not orphaned:
            # Which call it is in is for the process to say, and it may have been taken over.
            call.lost += 1
            blamed = call.lost >= MOST_LOST
        yield call, died if blamed and not call.withdrawn else None
