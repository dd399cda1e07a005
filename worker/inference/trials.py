"""Trials of backends: which one is the fastest, judged with all slots running at once.

One slot alone says little: what is quick alone can lose where all cores compute, and threads that
a library pins may share a core. So each backend is loaded in every slot, and all of them compute at
the same time, on the threads that they will have. What other programs take of the cores meanwhile
must not decide, so the predictors' CPU time is what counts (`Window.rate`). A processor changes its
clock from one second to the next, so those that are nearly the fastest are measured in turn.
Whether a backend answers rightly is judged in its process, when it loads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import ModelError, PredictorError
from worker.inference.calibration import Window, noise
from worker.inference.protocol import BackendName

__all__ = ["USUAL_BATCH", "Load", "Trial", "TrialSlot", "fastest", "try_backends"]

T = TypeVar("T")

USUAL_BATCH = 8
"""Images of a batch that is measured, where `batching.max_batch` gives no other number."""

PARTS = (2, 8)
"""Images of a batch that are computed at once, on CPU: backends differ in which is the faster one
(see `worker.inference.calibration`)."""

LONGEST_RUN = 1.0
"""Seconds; where a batch would take longer, single images are measured."""

WINDOW = 0.4
"""Seconds of one measurement."""

ROUNDS = 3
"""Times that a backend which may be the fastest is measured; the middle one counts. Of two that
differ by a tenth, one after the other, now and then the slower one had the faster seconds."""

NEARLY = 0.8
"""A backend may be the fastest from this share of the most images per second on."""


class TrialSlot(Protocol):
    """A slot that loads one backend after another and measures it."""

    async def load(self, backend: BackendName, within: float | None = None) -> None:
        """Load a backend, in place of the one before.

        Args:
            within: seconds that it may take; None is the slot's own time-out.

        Raises:
            ModelError: it cannot load the model, or answers it otherwise than plain Paddle.
            PredictorError: its process died or hung.
        """
        ...

    async def measure(
        self, pixels: Sequence[npt.NDArray[np.uint8]], seconds: float, part: int = 0
    ) -> Window:
        """Run a batch again and again.

        Args:
            part: images that are computed at once; 0 for all.

        Returns:
            What the runs took.

        Raises:
            PredictorError: a run failed.
        """
        ...


class Load(Protocol):
    """Measures what other programs take of the cores; `worker.runtime.other_load.OtherLoad`."""

    def begin(self) -> None:
        """Begin to measure."""
        ...

    def taken(self) -> float:
        """Measure since `begin`: a share of the cores that the slots need, 0 to 1."""
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of measuring one backend.

    Attributes:
        backend: as in `predictor.backend`.
        images_per_second: of all slots together; 0 if it cannot be used.
        problem: why it cannot be used, or empty.
        passing: whether the problem may be gone next time: a process that died or took too long,
            rather than a model that the backend does not support.
        taken: share of the slots' cores that other programs had while it was measured, 0 to 1.
    """

    backend: BackendName
    images_per_second: float
    problem: str = ""
    passing: bool = False
    taken: float = 0.0


async def try_backends(
    slots: Sequence[TrialSlot],
    backends: Sequence[BackendName],
    input_size: tuple[int, int],
    max_batch: int,
    limit: float,
    load: Load,
    clock: Clock = SYSTEM_CLOCK,
    *,
    on_gpu: bool = False,
) -> list[Trial]:
    """Load one backend after another in all slots, and measure each.

    In memory is one backend at a time. The slots are left with the last one that could be loaded.

    Args:
        backends: in the order in which they are tried, `paddle` first.
        input_size: `(H, W)` in pixels.
        max_batch: images of a batch; 0 where that is not fixed.
        limit: seconds for all backends but the first, without which nothing can be computed.
        on_gpu: whether the slots are on GPUs: there Paddle may fail for want of the GPU, where
            another backend, which is judged by Paddle on CPU, computes.

    Returns:
        What came of each.

    Raises:
        ModelError: Paddle itself cannot load the model, and on GPUs no other backend can either.
        PredictorError: no backend can be used.
        OSError: the system has no room for another process.
    """
    trials = _Trials(slots, noise(max_batch or USUAL_BATCH, input_size), load, clock, on_gpu=on_gpu)
    began, end = clock.monotonic(), None
    for backend in backends:
        if end is None or clock.monotonic() < end:
            await trials.add(backend, end)
        else:
            trials.leave_out(
                backend, f"not tried, since the time to measure backends, {limit:g} s, was over"
            )
        if end is None:
            end = clock.monotonic() + limit
    took = clock.monotonic() - began
    for _ in range(ROUNDS - 1):
        near = trials.nearly_fastest()
        # There is time for what the first round took, so that none is given up for want of it.
        if len(near) < 2 or end is None or clock.monotonic() + took > end:
            break
        for backend in near:
            await trials.add(backend, end)
    return trials.results(backends)


def fastest(trials: Sequence[Trial]) -> BackendName:
    """The backend that computed the most images per second."""
    return max(trials, key=lambda trial: trial.images_per_second).backend


class _Trials:
    """What has come of all trials so far.

    Args:
        pixels: the batch that is measured.
    """

    def __init__(
        self,
        slots: Sequence[TrialSlot],
        pixels: Sequence[npt.NDArray[np.uint8]],
        load: Load,
        clock: Clock,
        *,
        on_gpu: bool,
    ) -> None:
        self._slots = slots
        self._pixels = pixels
        self._parts = (len(pixels),) if on_gpu else PARTS
        self._load = load
        self._clock = clock
        self._on_gpu = on_gpu
        self._measured: dict[BackendName, list[Trial]] = {}
        # Invariant: none of these counts as measured, unless there is no other.
        self._failed: dict[BackendName, Trial] = {}
        self._errors: list[ModelError | PredictorError] = []

    async def add(self, backend: BackendName, end: float | None) -> None:
        """Load a backend in all slots, and measure it.

        Args:
            end: until when it may be loaded; None leaves that to the slots.

        Raises:
            ModelError: Paddle itself cannot load the model onto a processor.
        """
        try:
            # The first one alone: it converts the model and checks parity for all.
            await self._slots[0].load(backend, self._until(end))
            within = self._until(end)
            await _all(slot.load(backend, within) for slot in self._slots[1:])
            if self._on_gpu:
                # The first run of a size prepares its kernels, for up to a second.
                await _all(slot.measure(self._pixels[:1], 0) for slot in self._slots)
            rate, taken = await _measure(self._slots, self._pixels, self._parts, self._load)
            self._measured.setdefault(backend, []).append(Trial(backend, rate, taken=taken))
        except (ModelError, PredictorError) as error:
            first = backend not in self._measured
            if backend == "paddle" and isinstance(error, ModelError) and first and not self._on_gpu:
                raise
            self._errors.append(error)
            # On a GPU every error may be that of memory, which other programs have.
            passing = self._on_gpu or isinstance(error, PredictorError)
            self._failed[backend] = Trial(backend, 0.0, str(error), passing)

    def _until(self, end: float | None) -> float | None:
        return None if end is None else round(end - self._clock.monotonic(), 1)

    def leave_out(self, backend: BackendName, problem: str) -> None:
        """Take note that there is no time for a backend."""
        self._failed[backend] = Trial(backend, 0.0, problem, passing=True)

    def nearly_fastest(self) -> list[BackendName]:
        """The backends of which each may be the fastest, in their order."""
        rates = {
            name: max(trial.images_per_second for trial in trials)
            for name, trials in self._measured.items()
            if name not in self._failed
        }
        least = NEARLY * max(rates.values(), default=0.0)
        return [name for name, rate in rates.items() if rate >= least]

    def results(self, backends: Sequence[BackendName]) -> list[Trial]:
        """What came of each.

        Raises:
            ModelError: see `try_backends`.
            PredictorError: likewise.
        """
        if self._measured.keys() <= self._failed.keys():
            # All that could be measured have failed since: what passes may have passed by now.
            for name in self._measured:
                del self._failed[name]
        if not self._measured:
            first, *others = self._errors
            if not others:
                raise first
            problems = [f"{trial.backend}: {trial.problem}" for trial in self._failed.values()]
            raise type(first)("; ".join(problems)) from first
        return [self._failed.get(name) or _middle(self._measured[name]) for name in backends]


def _middle(trials: Sequence[Trial]) -> Trial:
    """The middle one of several trials of a backend; of two the slower one."""
    return sorted(trials, key=lambda trial: trial.images_per_second)[(len(trials) - 1) // 2]


async def _measure(
    slots: Sequence[TrialSlot],
    pixels: Sequence[npt.NDArray[np.uint8]],
    parts: Sequence[int],
    load: Load,
) -> tuple[float, float]:
    """Measure the backend that all slots have loaded.

    Args:
        parts: images that are computed at once; the fastest counts.

    Returns:
        Images per second of all slots together, as if others had none of their cores, and the
        share that others had.
    """
    # The first run also prepares, so this is more than an image will take.
    first = await _all(slot.measure(pixels[:1], 0) for slot in slots)
    slowest = min(window.rate() for window in first)
    batch = pixels if len(pixels) / slowest <= LONGEST_RUN else pixels[:1]
    best: tuple[float, float] = 0.0, 0.0
    for size in sorted({min(part, len(batch)) for part in parts}):
        # Once to prepare it.
        await _all(slot.measure(batch, 0, size) for slot in slots)
        load.begin()
        windows = await _all(slot.measure(batch, WINDOW, size) for slot in slots)
        taken = load.taken()
        best = max(best, (sum(window.rate(taken) for window in windows), taken))
    return best


async def _all(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Await all at once, to the end of the slowest even if one fails.

    Returns:
        What they return, in order.

    Raises:
        BaseException: what the first one that failed raised.
    """
    answers = await asyncio.gather(*calls, return_exceptions=True)
    good: list[T] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        good.append(answer)
    return good
