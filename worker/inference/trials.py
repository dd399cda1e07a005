"""Trials of backends: which one is the fastest, judged with all slots running at once.

One slot alone says little: what is quick alone can lose where all cores compute, and threads that
a library pins may share a core. So each backend is loaded in every slot, and all of them compute at
the same time, on the threads that they will have. What other programs take of the cores meanwhile
must not decide, so the predictors' CPU time is what counts (`Window.rate`). Whether a backend
answers rightly is judged in its process, when it loads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
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

WINDOWS = 3
"""Times that each is measured; the best one counts, since other load can only slow it."""

WINDOW = 0.4
"""Seconds of one measurement."""


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
    pixels = noise(max_batch or USUAL_BATCH, input_size)
    trials: list[Trial] = []
    errors: list[ModelError | PredictorError] = []
    end: float | None = None

    def left() -> float | None:
        return None if end is None else round(end - clock.monotonic(), 1)

    for backend in backends:
        within = left()
        if within is not None and within <= 0:
            problem = f"not tried, since the time to measure backends, {limit:g} s, was over"
            trials.append(Trial(backend, 0.0, problem, passing=True))
            continue
        try:
            # The first one alone: it converts the model and checks parity for all.
            await slots[0].load(backend, within)
            within = left()
            await _all(slot.load(backend, within) for slot in slots[1:])
            if on_gpu:
                # The first run of a size prepares its kernels, for up to a second.
                await _all(slot.measure(pixels[:1], 0) for slot in slots)
            parts = (len(pixels),) if on_gpu else PARTS
            rate, taken = await _measure(slots, pixels, parts, load, left)
            trials.append(Trial(backend, rate, taken=taken))
        except (ModelError, PredictorError) as error:
            if backend == "paddle" and isinstance(error, ModelError) and not on_gpu:
                raise
            errors.append(error)
            # On a GPU every error may be that of memory, which other programs have.
            passing = on_gpu or isinstance(error, PredictorError)
            trials.append(Trial(backend, 0.0, str(error), passing))
        if end is None:
            end = clock.monotonic() + limit
    if not any(trial.images_per_second for trial in trials):
        first, *others = errors
        if not others:
            raise first
        problems = [f"{trial.backend}: {trial.problem}" for trial in trials if trial.problem]
        raise type(first)("; ".join(problems)) from first
    return trials


def fastest(trials: Sequence[Trial]) -> BackendName:
    """The backend that computed the most images per second."""
    return max(trials, key=lambda trial: trial.images_per_second).backend


async def _measure(
    slots: Sequence[TrialSlot],
    pixels: Sequence[npt.NDArray[np.uint8]],
    parts: Sequence[int],
    load: Load,
    left: Callable[[], float | None],
) -> tuple[float, float]:
    """Measure the backend that all slots have loaded, once or, where time is left, several times.

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
    sizes = sorted({min(part, len(batch)) for part in parts})
    for size in sizes:
        await _all(slot.measure(batch, 0, size) for slot in slots)
    best: tuple[float, float] = 0.0, 0.0
    for _ in range(WINDOWS):
        for size in sizes:
            load.begin()
            windows = await _all(slot.measure(batch, WINDOW, size) for slot in slots)
            taken = load.taken()
            best = max(best, (sum(window.rate(taken) for window in windows), taken))
        within = left()
        if within is not None and within <= 0:
            break
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
