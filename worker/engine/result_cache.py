"""Results of images that were computed before, and of those that are being computed.

What is kept is bounded by entries and by bytes; what was not used for the longest time goes first.
An image that is being computed already is not computed again: later jobs wait for it. They do so
within their own time, and no longer:

- A job that is more urgent than the one that computes does not wait, since it would wait in that
  one's place in the queues.
- A job waits for half of the time that it has, then computes itself. One at a time does so: the
  others begin to wait anew, for the first to be done, but no more than a few times.
- If the one that computes is withdrawn, the next one takes over. If it fails for a reason that is
  not the image's (no memory), each one computes itself.
- If the image is at fault, those that wait get the same failure, so that an image that ends
  processes does so once. No failure is kept for later jobs.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.jobs import Success
from worker.errors import JobError, Reason
from worker.metrics import Metrics
from worker.metrics.answers import Answered
from worker.metrics.labels import CACHE_HIT, CACHE_MISS, CACHE_SHARED
from worker.settings import ResultCacheSettings

if TYPE_CHECKING:
    from prometheus_client import Counter

__all__ = ["Computed", "Key", "ResultCache"]

ENTRY_BYTES = 640
"""What an entry takes besides categories and picture: key, digests, and its place in the table."""

CATEGORY_BYTES = 96
"""What a category takes, its name aside, which is the model's own."""

MOST_WAITS = 10
"""How often a job waits, at most, before it computes itself."""

NOT_THE_IMAGE = (Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED, Reason.INTERNAL)
"""Failures of a job that say nothing of another one with the same image."""


class Key(NamedTuple):
    """All that an answer depends on.

    Attributes:
        content: digest of the image.
        model: digest of the model.
        top_k: most categories.
        side: longest side of the picture in pixels; None without one.
        quality: of the picture's JPEG; 0 without one.
    """

    content: bytes
    model: str
    top_k: int
    side: int | None = None
    quality: int = 0


@dataclass(frozen=True, slots=True)
class Computed:
    """An answer, and what metrics count of it."""

    success: Success
    answered: Answered

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes to keep it."""
        categories, picture = self.success.categories, self.success.picture
        return ENTRY_BYTES + CATEGORY_BYTES * len(categories) + len(picture or b"")


@dataclass(frozen=True, slots=True)
class _Failed:
    """How an image's computation failed.

    Attributes:
        error: what is wrong with the image; None if something else was wrong.
        form: in which the image came, which the error's message depends on.
    """

    error: JobError | None
    form: type


_Ending: TypeAlias = Computed | _Failed | None
"""How a computation ended; None if it was withdrawn."""


@dataclass(slots=True, eq=False)
class _Flight:
    """An image that is being computed.

    Attributes:
        ended: resolves to the ending of the first job whose ending others can use, else of the last
            job.
        urgency: that of the most urgent job that computes.
        computing: how many jobs compute.
        turns: how many have begun to.
    """

    ended: asyncio.Future[_Ending]
    urgency: float
    computing: int = 0
    turns: int = 0

    def note(self, ending: _Ending) -> bool:
        """Note how one of its jobs ended.

        Returns:
            Whether this is what the others have waited for.
        """
        self.computing -= 1
        usable = isinstance(ending, Computed) or (ending is not None and ending.error is not None)
        if self.ended.done() or (self.computing and not usable):
            return False
        self.ended.set_result(ending)
        return True


class ResultCache:
    """Keeps results of one model; for one event loop.

    Args:
        settings: bounds; `max_entries` is above 0.
        patience: seconds that a job without a deadline is taken to have.
    """

    def __init__(
        self,
        settings: ResultCacheSettings,
        patience: float,
        metrics: Metrics,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings
        self._patience = patience
        self._clock = clock
        self._kept: OrderedDict[Key, Computed] = OrderedDict()
        self._bytes = 0
        self._flights: dict[Key, _Flight] = {}
        lookups = metrics.result_cache_lookups.labels
        self._hit, self._shared, self._miss = map(lookups, (CACHE_HIT, CACHE_SHARED, CACHE_MISS))
        metrics.result_cache_entries.set_function(lambda: len(self._kept))
        metrics.result_cache_bytes.set_function(lambda: self._bytes)

    async def get(
        self,
        key: Key,
        form: type,
        urgency: float,
        deadline: float | None,
        compute: Callable[[], Awaitable[Computed]],
    ) -> Computed:
        """Look an image's result up, or wait for it, or compute it; cancelling withdraws the job.

        Args:
            form: in which the image came. Messages on its faults depend on it.
            urgency: the smaller, the sooner.
            deadline: seconds since the epoch after which the result is of no use; None means never.
            compute: computes the result for this job.

        Returns:
            The result.

        Raises:
            JobError: the image cannot be used.
            Exception: whatever else `compute` raises.
        """
        for _ in range(MOST_WAITS):
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return self._found(kept, self._hit)
            flight = self._flights.get(key)
            if flight is None or urgency < flight.urgency:
                break
            turns = flight.turns
            await asyncio.wait((flight.ended,), timeout=self._wait(deadline))
            if not flight.ended.done():
                if flight.turns == turns:
                    break
                continue
            ending = flight.ended.result()
            if isinstance(ending, Computed):
                return self._found(ending, self._shared)
            if ending is None:
                continue
            if ending.error is None:
                break
            if ending.form is form:
                self._shared.inc()
                raise replace(ending.error)
        self._miss.inc()
        return await self._compute(key, form, urgency, compute)

    @staticmethod
    def _found(computed: Computed, counter: Counter) -> Computed:
        counter.inc()
        computed.answered.count()
        return computed

    def _wait(self, deadline: float | None) -> float:
        """How many seconds a job waits before it computes itself."""
        left = self._patience if deadline is None else deadline - self._clock.wall()
        return max(0.0, left / 2)

    async def _compute(
        self, key: Key, form: type, urgency: float, compute: Callable[[], Awaitable[Computed]]
    ) -> Computed:
        flight = self._flights.get(key)
        if flight is None:
            ended: asyncio.Future[_Ending] = asyncio.get_running_loop().create_future()
            flight = self._flights[key] = _Flight(ended, urgency)
        flight.urgency = min(urgency, flight.urgency)
        flight.computing += 1
        flight.turns += 1
        ending: _Ending = None
        try:
            computed = ending = await compute()
            self._keep(key, computed)
            return computed
        except Exception as error:
            ending = _Failed(_of_the_image(error), form)
            raise
        finally:
            if flight.note(ending):
                del self._flights[key]

    def _keep(self, key: Key, computed: Computed) -> None:
        if computed.nbytes > self._settings.max_bytes:
            return
        before = self._kept.pop(key, None)
        self._bytes += computed.nbytes - (0 if before is None else before.nbytes)
        self._kept[key] = computed
        limits = self._settings
        while len(self._kept) > limits.max_entries or self._bytes > limits.max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes


def _of_the_image(error: Exception) -> JobError | None:
    """The error if any job with the same image would get it, else None."""
    if not isinstance(error, JobError) or error.transient or error.reason in NOT_THE_IMAGE:
        return None
    # A copy: a traceback would keep the image.
    return replace(error)
