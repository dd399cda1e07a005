"""Selection of the backend: the fastest one, judged with all slots running at once.

One slot alone says little. OpenVINO pins its threads, so that two processes of one thread share a
core: alone it is the fastest for PP-LCNet_x1_0, and with two slots on two cores the slowest. So
each backend is loaded in every slot, and all of them compute at the same time, on the threads that
they will have. Whether a backend answers rightly is judged in its process, when it loads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from worker.device import Device
from worker.errors import ModelError, PredictorError, SettingsError, UnfitSystemError
from worker.hpip import missing_packages, remedy
from worker.inference.calibration import noise
from worker.inference.protocol import BackendName
from worker.settings import BackendChoice

__all__ = ["Trial", "TrialSlot", "check_choice", "fastest", "try_backends"]

T = TypeVar("T")

USUAL_BATCH = 8
"""Images of a batch that is measured, where `batching.max_batch` gives no other number."""

LONGEST_RUN = 1.0
"""Seconds; where a batch would take longer, single images are measured."""

WINDOWS = 3
"""Times that each backend is measured; the best counts, since other load can only slow it."""

WINDOW = 0.4
"""Seconds of one measurement."""


class TrialSlot(Protocol):
    """A slot that loads one backend after another and measures it."""

    @property
    def backend(self) -> str:
        """What computes in it, such as `paddle+onednn`."""
        ...

    async def load(self, backend: BackendName) -> None:
        """Load a backend, in place of the one before.

        Raises:
            ModelError: it cannot load the model, or answers it otherwise than plain Paddle.
            PredictorError: its process died or hung.
        """
        ...

    async def measure(self, pixels: Sequence[npt.NDArray[np.uint8]], seconds: float) -> float:
        """Run a batch again and again.

        Returns:
            Images per second.

        Raises:
            PredictorError: a run failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of measuring one backend.

    Attributes:
        backend: as in `predictor.backend`.
        images_per_second: of all slots together; 0 if it cannot be used.
        problem: why it cannot be used, or empty.
    """

    backend: BackendName
    images_per_second: float
    problem: str = ""


def check_choice(choice: BackendChoice, device: Device) -> None:
    """Refuse a backend that cannot be used here, before anything is loaded.

    Raises:
        SettingsError: it does not go with the device.
        UnfitSystemError: it is not installed; the message says how to install it.
    """
    match choice:
        case "auto" | "paddle":
            return
    if device.kind != "cpu":
        raise SettingsError(
            f"predictor.backend: {choice} computes on the CPU alone, and device is {device}: "
            "set predictor.backend to auto or paddle, or device to cpu"
        )
    if missing := missing_packages(choice):
        raise UnfitSystemError(
            f"predictor.backend: {choice} needs {' and '.join(missing)}, not installed here; "
            f"{remedy()}; or set predictor.backend to auto or paddle"
        )


async def try_backends(
    slots: Sequence[TrialSlot],
    backends: Sequence[BackendName],
    input_size: tuple[int, int],
    max_batch: int,
) -> list[Trial]:
    """Load one backend after another in all slots, and measure each.

    In memory is one backend at a time. The slots are left with the last one that could be loaded.

    Args:
        backends: in the order in which they are tried, `paddle` first.
        input_size: `(H, W)` in pixels.
        max_batch: images of a batch; 0 where that is not fixed.

    Returns:
        What came of each.

    Raises:
        ModelError: Paddle itself cannot load the model.
        PredictorError: no backend can be used.
        OSError: the system has no room for another process.
    """
    pixels = noise(max_batch or USUAL_BATCH, input_size)
    trials: list[Trial] = []
    errors: list[ModelError | PredictorError] = []
    for backend in backends:
        try:
            # The first one alone: it converts the model and checks parity for all.
            await slots[0].load(backend)
            await _all(slot.load(backend) for slot in slots[1:])
            trials.append(Trial(backend, await _measure(slots, pixels)))
        except (ModelError, PredictorError) as error:
            if backend == "paddle" and isinstance(error, ModelError):
                raise
            errors.append(error)
            trials.append(Trial(backend, 0.0, str(error)))
    if not any(trial.images_per_second for trial in trials):
        raise errors[0]
    return trials


def fastest(trials: Sequence[Trial]) -> BackendName:
    """The backend that computed the most images per second."""
    return max(trials, key=lambda trial: trial.images_per_second).backend


async def _measure(slots: Sequence[TrialSlot], pixels: Sequence[npt.NDArray[np.uint8]]) -> float:
    """Images per second of all slots together."""
    # The first run also prepares, so this is more than an image will take.
    slowest = min(await _all(slot.measure(pixels[:1], 0) for slot in slots))
    batch = pixels if len(pixels) / slowest <= LONGEST_RUN else pixels[:1]
    await _all(slot.measure(batch, 0) for slot in slots)
    windows = [await _all(slot.measure(batch, WINDOW) for slot in slots) for _ in range(WINDOWS)]
    return max(sum(rates) for rates in windows)


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
