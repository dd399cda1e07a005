"""What computes scores for a local pipeline: this process, or one process per device."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt

from worker.errors import PredictorError
from worker.failpoints import Failpoints
from worker.inference.placement import Placement
from worker.inference.slot import Slot
from worker.model import ModelSpec
from worker.predict.fastest import load_fastest
from worker.predictor.backends import own_sentence
from worker.predictor.loading import load_predictor
from worker.predictor.predictor import Predictor
from worker.settings import PredictorSettings

__all__ = ["Runner", "SlotRunner", "ThisProcess", "make_runner"]

Crops = Sequence[npt.NDArray[np.uint8]]
Scores = npt.NDArray[np.float32]

SLOT_CAPACITY = 64
"""Images in the memory shared with a predictor process; larger batches are run in parts."""


class Runner(Protocol):
    """Turns crops into scores; safe to use from several threads.

    Attributes:
        width: batches that it computes at the same time.
        backend: what computes, such as `paddle+onednn`.
    """

    width: int
    backend: str

    def scores(self, crops: Crops) -> Scores:
        """Scores `[N, C] float32` of crops `[H, W, 3] uint8`; N is `width` batches at most.

        Raises:
            PredictorError: the network failed; the message says how.
        """
        ...

    def close(self) -> None:
        """Free what is held; further use is an error."""
        ...


class ThisProcess:
    """One predictor in this process."""

    width = 1

    def __init__(self, predictor: Predictor) -> None:
        self.backend = predictor.backend
        self._predictor = predictor
        self._turn = threading.Lock()

    def scores(self, crops: Crops) -> Scores:
        """See `Runner.scores`."""
        with self._turn:
            try:
                return self._predictor.scores(np.stack(crops))
            except Exception as error:
                raise PredictorError(f"the predictor failed: {own_sentence(error)}") from error

    def close(self) -> None:
        """Nothing is held but memory."""


class SlotRunner:
    """One predictor process per placement: Paddle holds the GIL while it computes.

    Raises:
        ModelError: the model cannot be loaded on one of them.
        PredictorError: a process died or hung while it started.
    """

    backend = "paddle"

    def __init__(self, spec: ModelSpec, placements: Sequence[Placement]) -> None:
        defaults = PredictorSettings()
        self.width = len(placements)
        self._slots = [
            Slot(
                spec,
                placement.device,
                threads=placement.threads,
                capacity=SLOT_CAPACITY,
                timeout=defaults.timeout,
                start_timeout=defaults.start_timeout,
                failpoints=Failpoints(),
            )
            for placement in placements
        ]
        self._turn = threading.Lock()
        self._threads = ThreadPoolExecutor(len(placements), "slot")
        try:
            list(self._threads.map(Slot.start, self._slots))
        except BaseException:
            self.close()
            raise

    def scores(self, crops: Crops) -> Scores:
        """See `Runner.scores`."""
        share = -(-len(crops) // self.width)
        shares = [crops[start : start + share] for start in range(0, len(crops), share)]
        with self._turn:
            return np.concatenate(list(self._threads.map(_run, self._slots, shares)))

    def close(self) -> None:
        """End the processes."""
        self._threads.shutdown()
        for slot in self._slots:
            slot.kill()


def make_runner(
    spec: ModelSpec, placements: Sequence[Placement], *, use_hpip: bool, batch_size: int
) -> Runner:
    """The runner for one device, or for several.

    Args:
        use_hpip: on CPU, take the fastest backend that agrees with Paddle.
        batch_size: images at once, for which that is chosen.

    Raises:
        SettingsError: `use_hpip`, and nothing is installed to choose from.
        ModelError: the model cannot be loaded.
        PredictorError: a process died or hung while it started.
    """
    if len(placements) > 1:
        return SlotRunner(spec, placements)
    device, threads = placements[0].device, placements[0].threads
    if use_hpip:
        return ThisProcess(load_fastest(spec, device, threads, batch_size))
    return ThisProcess(load_predictor(spec, device, threads))


def _run(slot: Slot, crops: Crops) -> Scores:
    slot.start()  # again, if the last batch has killed it
    parts = range(0, len(crops), SLOT_CAPACITY)
    return np.concatenate([slot.run(crops[at : at + SLOT_CAPACITY])[0] for at in parts])
