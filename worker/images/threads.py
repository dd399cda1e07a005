"""The threads that decode and draw: what gets no memory is tried again, and what hangs is given up.

A thread cannot be killed. One that hangs in a codec is lost until the process ends. Its call is
given up, so that its job is answered and not delivered again; another thread takes its place, so
that other jobs go on; and liveness fails, so that the orchestrator starts the process anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from worker.errors import JobError, Reason, Stage
from worker.images.memory import SHORTAGES, raising_memory_errors
from worker.metrics import IMAGE_STAGES, Metrics
from worker.retry import SYSTEM_CLOCK, Clock, Retry

__all__ = ["ImageThreads"]

T = TypeVar("T")


class ImageThreads:
    """A pool of threads for codecs; for one event loop.

    Args:
        count: threads; as many again may take the places of lost ones.
        timeout: seconds after which a call counts as hung, from when a thread began it.
        retry: of a call that got no memory.
        clock: what pauses and time-outs go by; read by the threads, too.
    """

    def __init__(
        self,
        count: int,
        timeout: float,
        metrics: Metrics,
        *,
        retry: Retry = SHORTAGES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.timeout = timeout
        self._metrics = metrics
        self._retry = retry
        self._clock = clock
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._count = count
        self._threads = 0
        self._spare = count
        for _ in range(count):
            self._start_thread()
        # Invariant: every call that waits for a thread or is in one, given up or not.
        self._calls: set[_Call] = set()
        self._watch: asyncio.TimerHandle | None = None
        # Seconds in calls that have ended or were given up.
        self._busy = 0.0
        # Invariant: never decreases, as a counter must not. A call's end, as its thread takes it,
        # can be a little earlier than a scrape that came just before it was told.
        self._busy_shown = 0.0
        metrics.image_threads.set_function(self._usable)
        metrics.image_threads_busy.read = lambda: [((), self._busy_seconds())]
        metrics.queued_images.read = self._queued

    @property
    def stalled(self) -> bool:
        """Whether a thread is in one call for longer than the time-out.

        Calls that only wait for a thread count for nothing, however long the queue is.
        """
        return any(self._is_overdue(call) for call in self._calls)

    async def run(self, stage: Stage, work: Callable[[], T]) -> T:
        """Call `work` in a thread; cancelling withdraws it while it waits for one.

        Args:
            stage: whose work it is, for metrics and messages.

        Returns:
            What `work` returns.

        Raises:
            JobError: `UNAVAILABLE` when there was no memory for it, several times; `POISON` when it
                did not end. Besides, whatever `work` raises.
        """
        pauses, attempt = self._retry.pauses(self._clock), 0
        while True:
            attempt += 1
            with contextlib.suppress(MemoryError):
                return await self._attempt(stage, work)
            self._metrics.memory_shortages.labels(stage).inc()
            if (pause := next(pauses, None)) is None:
                raise JobError(
                    Reason.UNAVAILABLE,
                    "the worker has no memory left for this image; try again later",
                    transient=True,
                    attempts=attempt,
                    stage=stage,
                )
            await self._clock.sleep(pause)

    def shutdown(self) -> None:
        """Take no more calls and drop those that wait; threads that run one are not waited for."""
        if self._watch is not None:
            self._watch.cancel()
        for call in self._calls:
            if call.began is None:
                call.answer.cancel()
        for _ in range(self._threads):
            self._queue.put(None)

    async def _attempt(self, stage: Stage, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        call = _Call(stage, work, loop)
        self._calls.add(call)
        self._watch_over(loop)
        self._queue.put(call)
        answer = call.answer
        del call
        try:
            result: T = await answer
        finally:
            # It holds what is raised, whose traceback holds this frame: in a circle with the image,
            # which would be there until Python looks for circles.
            del answer
        return result

    def _start_thread(self) -> None:
        self._threads += 1
        # Not waited for when the process ends: one that hangs would hold it up.
        threading.Thread(target=self._serve, name="image", daemon=True).start()

    def _serve(self) -> None:
        """In a thread: run calls until the pool closes or gives this thread up."""
        while (call := self._queue.get()) is not None:
            self._do(call)
            if call.replaced:
                return  # another one has taken this one's place
            del call  # nothing is held while there is nothing to do

    def _do(self, call: _Call) -> None:
        call.began = self._clock.monotonic()
        result: object = None
        error: BaseException | None = None
        try:
            # A caller that was cancelled meanwhile waits no longer.
            if not call.answer.cancelled():
                with raising_memory_errors():
                    result = call.work()
        except MemoryError:
            # A new one: the traceback of the old one holds on to all that was allocated.
            error = MemoryError()
        except BaseException as raised:  # noqa: BLE001 - the loop's side raises it again
            error = raised
        seconds = self._clock.monotonic() - call.began
        # The loop is closed when the process ends meanwhile.
        with contextlib.suppress(RuntimeError):
            call.loop.call_soon_threadsafe(self._end, call, seconds, result, error)
        # What was raised holds this frame by its traceback; both of these hold what was raised.
        del call, error

    def _end(
        self, call: _Call, seconds: float, result: object, error: BaseException | None
    ) -> None:
        self._calls.discard(call)
        if not call.given_up:
            self._busy += seconds
        self._spare += call.replaced
        if call.answer.done():
            return
        if error is None:
            call.answer.set_result(result)
        else:
            call.answer.set_exception(error)

    def _watch_over(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._watch is None:
            self._watch = loop.call_later(self.timeout, self._give_up_overdue, loop)

    def _give_up_overdue(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watch = None
        for call in self._calls:
            if self._is_overdue(call) and not call.given_up:
                self._give_up(call)
        now = self._clock.monotonic()
        watched = [call for call in self._calls if not call.given_up]
        if watched:
            begun = [call.began for call in watched if call.began is not None]
            due = min(begun, default=now) + self.timeout - now
            # Not at once: a clock may stand still.
            self._watch = loop.call_later(max(due, self.timeout / 100), self._give_up_overdue, loop)

    def _give_up(self, call: _Call) -> None:
        call.given_up = True
        # Until here it may have been at work.
        self._busy += self._lasts(call)
        # The job may have been cancelled; the thread is lost all the same.
        if not call.answer.done():
            call.answer.set_exception(
                JobError(
                    Reason.POISON,
                    f"the {call.stage} stage did not end within {self.timeout:g} s; save the image "
                    "anew, or send another",
                    stage=call.stage,
                )
            )
        if self._spare:
            self._spare -= 1
            call.replaced = True
            self._start_thread()

    def _is_overdue(self, call: _Call) -> bool:
        return self._lasts(call) >= self.timeout

    def _lasts(self, call: _Call) -> float:
        """Seconds since a thread began a call; 0 while it waits for one."""
        return 0.0 if call.began is None else self._clock.monotonic() - call.began

    def _usable(self) -> int:
        """Threads that take calls: those that hang and were not replaced are missing."""
        return self._count - sum(call.given_up and not call.replaced for call in self._calls)

    def _busy_seconds(self) -> float:
        """Seconds in calls, those that go on included."""
        present = sum(self._lasts(call) for call in self._calls if not call.given_up)
        self._busy_shown = max(self._busy_shown, self._busy + present)
        return self._busy_shown

    def _queued(self) -> list[tuple[tuple[Stage], int]]:
        """Calls that wait for a thread, by stage."""
        waiting = Counter(call.stage for call in self._calls if call.began is None)
        return [((stage,), waiting[stage]) for stage in IMAGE_STAGES]


class _Call:
    """One call of one attempt.

    Attributes:
        began: when a thread began it; None while it waits for one.
        answer: what it returned or raised.
        given_up: whether its caller waits no longer, because it is overdue.
        replaced: whether another thread has taken the place of the one that is in it.
    """

    __slots__ = ("answer", "began", "given_up", "loop", "replaced", "stage", "work")

    def __init__(
        self, stage: Stage, work: Callable[[], object], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.stage = stage
        self.work = work
        self.loop = loop
        self.answer: asyncio.Future[Any] = loop.create_future()
        self.began: float | None = None
        self.given_up = False
        self.replaced = False
