"""Selection of the backend: what `auto` takes, measured once and by one worker at a time."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager

from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import ModelError, PredictorError
from worker.inference.protocol import BackendName
from worker.inference.selection_cache import MEASUREMENTS, SelectionCache, SelectionRecord
from worker.inference.trials import Trial, fastest
from worker.logs import get_logger

__all__ = ["BackendSelection", "OnStep", "SelectionStep"]

PAUSE = 0.25
"""Seconds between two looks whether another worker has measured: a file lock tells nobody."""

log = get_logger(__name__)


class SelectionStep(enum.StrEnum):
    """What a selection is doing, in the words of `/readyz`."""

    MEASURING = "measuring backends"
    WAITING = "waiting for another worker to measure backends"
    DONE = ""


OnStep = Callable[[SelectionStep, Sequence[BackendName]], None]
"""Is told of each step, with the backends that are measured."""


class BackendSelection:
    """Finds the fastest backend that answers rightly, by what was kept or by measuring.

    Args:
        cache: what was measured before.
        backends: to choose from.
        load: loads a backend into all slots.
        measure: tries all backends in all slots.
        patience: seconds to wait for another worker that measures.
        on_step: is told what goes on.
    """

    def __init__(
        self,
        cache: SelectionCache,
        backends: Sequence[BackendName],
        load: Callable[[BackendName], Awaitable[None]],
        measure: Callable[[], Awaitable[list[Trial]]],
        patience: float,
        on_step: OnStep,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._cache = cache
        self._backends = backends
        self._load = load
        self._measure = measure
        self._patience = patience
        self._on_step = on_step
        self._clock = clock

    async def select(self) -> BackendName:
        """Select a backend, and log what was measured.

        A record that is in doubt (see `SelectionRecord`) is measured again, a few times.

        Returns:
            The fastest one.

        Raises:
            ModelError: Paddle itself cannot load the model, and on GPUs nothing else can either.
            PredictorError: no backend can be used.
            OSError: the system has no room for another process.
        """
        kept = self._cache.read()
        if kept is not None and kept.settled and await self._can_use(kept):
            return fastest(kept.trials)
        backend = await self._select_in_turn(kept)
        self._on_step(SelectionStep.DONE, self._backends)
        return backend

    async def reuse(self) -> BackendName | None:
        """Take what was selected before, without measuring.

        Returns:
            The fastest one then; None if nothing was selected, or that cannot be loaded now.

        Raises:
            OSError: the system has no room for another process.
        """
        kept = self._cache.read()
        return fastest(kept.trials) if kept is not None and await self._can_use(kept) else None

    async def _select_in_turn(self, kept: SelectionRecord | None) -> BackendName:
        async with self._turn():
            now = self._cache.read()
            # Another worker has measured since: its measurement is as good as one's own.
            if now is not None and now != kept and await self._can_use(now):
                return fastest(now.trials)
            doubtful = kept if kept is not None and not kept.settled else None
            record = await self._measure_and_keep(doubtful)
        return fastest(record.trials)

    async def _measure_and_keep(self, before: SelectionRecord | None) -> SelectionRecord:
        self._on_step(SelectionStep.MEASURING, self._backends)
        log.info("measuring_backends", backends=list(self._backends))
        trials = await self._measure()
        record = before.measured_again(trials) if before else SelectionRecord(tuple(trials))
        self._cache.write(record)
        _log_table(record, from_cache=False)
        return record

    async def _can_use(self, record: SelectionRecord) -> bool:
        """Load what a record chooses; False when that fails now."""
        backend = fastest(record.trials)
        try:
            await self._load(backend)
        except (ModelError, PredictorError) as error:
            log.warning("backend_failed", backend=backend, error=str(error))
            return False
        _log_table(record, from_cache=True)
        return True

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until no other worker measures, but for a bounded time."""
        end = self._clock.monotonic() + self._patience
        waited = False
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(self._cache.turn())
                except BlockingIOError:
                    if self._clock.monotonic() >= end:
                        log.warning("measurement_not_awaited", seconds=self._patience)
                        break
                    if not waited:
                        self._on_step(SelectionStep.WAITING, self._backends)
                        log.info("waiting_for_measurement", seconds=self._patience)
                    waited = True
                    await self._clock.sleep(PAUSE)
                    continue
                except OSError:
                    pass  # a directory without locks keeps no record either
                break
            yield


def _log_table(record: SelectionRecord, *, from_cache: bool) -> None:
    """Log a table: a row per backend, the chosen one marked, and why it may be in doubt."""
    chosen = fastest(record.trials)
    for trial in record.trials:
        if trial.problem:
            log.info("backend_unusable", backend=trial.backend, problem=trial.problem)
        else:
            log.info(
                "backend_measured",
                backend=trial.backend,
                images_per_second=round(trial.images_per_second, 1),
                chosen=trial.backend == chosen,
                cores_taken_by_others=round(trial.taken, 2),
                from_cache=from_cache,
            )
    if record.doubt:
        log.info(
            "selection_in_doubt",
            reason=record.doubt,
            measurements=record.measurements,
            next="kept" if record.settled else "the next start measures again",
            most=MEASUREMENTS,
        )
