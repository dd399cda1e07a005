"""Ctrl-C ends any command except a worker at once, silently, with exit code 130.

KeyboardInterrupt would not do: raised during an import, a callback or the interpreter's end, it can
come out as a traceback or as another error.
"""

from __future__ import annotations

import os
import signal
import sys

# As in `typing`; see `worker`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import FrameType
    from typing import Any

__all__ = ["end_at_once", "run_until_interrupted", "watch_for_stop"]

SHOW_CURSOR = b"\x1b[?25h\n"
"""What a progress bar has hidden on a terminal."""


def end_at_once() -> None:
    """Let Ctrl-C end the process, unless it is ignored, as for a script's background processes."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)


def run_until_interrupted(work: Coroutine[Any, Any, None]) -> bool:
    """Run a coroutine as `asyncio.run` does, but let Ctrl-C cancel it, and wait for its end.

    A second Ctrl-C ends the process at once.

    Returns:
        True if it ended by itself; False if it was cancelled.
    """
    import asyncio  # noqa: PLC0415 - loaded only where it is needed

    async def watched() -> bool:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        interrupted = False

        def cancel(number: int, frame: FrameType | None) -> None:
            nonlocal interrupted
            if interrupted:
                _end(number, frame)
            interrupted = True
            loop.call_soon_threadsafe(task.cancel)

        before = signal.getsignal(signal.SIGINT)
        if before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, cancel)
        try:
            await work
        except asyncio.CancelledError:
            if not interrupted:
                raise
            return False
        finally:
            if before is not signal.SIG_IGN:
                signal.signal(signal.SIGINT, before or _end)
        return True

    return asyncio.run(watched())


def watch_for_stop() -> Callable[[], int]:
    """Let Ctrl-C and SIGTERM be seen, for work that saves what it has before it ends.

    A second signal ends the process at once.

    Returns:
        A function that returns the signal's number once there was one, and else 0.
    """
    seen = 0

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        if seen:
            _end(number, frame)
        seen = number

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, note)
    return lambda: seen


def _end(
    number: int,
    _frame: FrameType | None,
    # Bound now: at the interpreter's end, modules lose their names.
    end: Any = os._exit,  # noqa: ANN401 - an exception could end up anywhere
    write: Any = os.write,  # noqa: ANN401
    system: Any = sys,  # noqa: ANN401
    show: bytes = SHOW_CURSOR,
) -> None:
    try:
        if system.__stderr__.isatty():
            write(system.__stderr__.fileno(), show)
        # Loaded by those alone who have something to remove.
        if (scratch := system.modules.get("worker.runtime.scratch")) is not None:
            scratch.remove_all()
    finally:
        end(128 + number)
