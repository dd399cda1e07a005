"""The predictor process; its arguments are OWNER SOCKET MEMORY.

Started by `worker.inference.slot_process`, with inherited descriptors.

It is a process of its own because Paddle holds the GIL while it computes, which would freeze the
event loop, and because a native crash or an out-of-memory kill must cost one batch, not the worker.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from worker.errors import ModelError, UnfitSystemError
from worker.inference.protocol import (
    DropSolo,
    Failed,
    Loaded,
    Ran,
    Run,
    SharedBatch,
    Start,
    read_request,
    read_start,
    to_message,
)
from worker.predictor.backends import own_sentence
from worker.predictor.loading import load_predictor
from worker.predictor.predictor import Predictor
from worker.predictor.staging import lock_for
from worker.runtime.children import die_with
from worker.runtime.helper_threads import HelperThreads, other_threads
from worker.runtime.messages import Channel
from worker.runtime.priority import be_first_to_go, come_second, run_when_idle

__all__ = ["main", "serve"]

LONGEST = 10_000
"""Most characters of an error: a library's may hold the whole of its input."""


def main() -> None:
    """Serve the owner on the inherited descriptors until it closes the socket or dies."""
    owner, socket, memory = (int(argument) for argument in sys.argv[1:4])
    die_with(owner)
    # Before a library starts its threads, as all that changes priorities.
    come_second()
    with Channel(socket) as channel, suppress(EOFError):
        # Its end is the owner's, and that of all work.
        serve(channel, memory)


def serve(channel: Channel, memory: int) -> None:
    """Load what `Start` says, then answer `Run` after `Run`.

    Raises:
        EOFError: the owner closed the channel: the regular end.
    """
    start = read_start(channel.receive())
    if start.idle:
        run_when_idle()
        be_first_to_go()
    try:
        predictors = _Predictors(start)
    except (ModelError, UnfitSystemError) as error:
        unfit = isinstance(error, UnfitSystemError)
        channel.send(to_message(Failed(str(error)[:LONGEST], unfit)))
        return
    first = predictors.first
    rows = start.capacity * start.buffers
    shared = SharedBatch(memory, rows, start.spec.input_size, first.classes)
    lock_for(start.device, shared)
    channel.send(to_message(Loaded(first.classes, first.backend)))
    while True:
        request = read_request(channel.receive())
        if isinstance(request, DropSolo):
            predictors.drop_solo()
            channel.send(to_message(Ran(0.0, 0.0)))
        else:
            channel.send(to_message(_answer(predictors, shared, request, start)))


class _Predictors:
    """The network for batches, and a second copy for single images, loaded when it is needed.

    Attributes:
        first: the one for batches.

    Raises:
        ModelError: the first one cannot be loaded; see `load_predictor`.
        UnfitSystemError: likewise.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self.first = self._load(start.threads)
        self._solo: Predictor | None = None
        # All other threads, once a network on several has computed.
        self._helpers = HelperThreads(())
        self._found = False

    def scores(
        self, crops: npt.NDArray[np.uint8], solo_threads: int = 0, *, alone: bool = True
    ) -> npt.NDArray[np.float32]:
        """Compute images at once, or a single one on so many threads.

        Args:
            alone: whether a single image is all that there is to compute, rather than a part.

        Returns:
            As `Predictor.scores`.

        Raises:
            ModelError: the second network cannot be loaded.
            Exception: any error of the library that computes.
        """
        if solo_threads and self._solo is None:
            self._solo = self._load(solo_threads, solo=True)
            self._found = False
        predictor = self._solo if solo_threads and self._solo else self.first
        if not solo_threads and self._start.threads == 1:
            return predictor.scores(crops)
        # While an image alone is computed other cores may be idle.
        alone = alone and (bool(solo_threads) or len(crops) == 1)
        place = self._helpers.leave_core if alone else self._helpers.run_anywhere
        place()
        scores = predictor.scores(crops)
        if not self._found:
            # Libraries start threads with their first work, and OpenVINO's networks share them.
            self._helpers.take(other_threads())
            self._found = True
        return scores

    def _load(self, threads: int, *, solo: bool = False) -> Predictor:
        start = self._start
        return load_predictor(
            start.spec,
            start.device,
            threads,
            start.backend,
            solo=solo,
            kernels=start.kernels,
            capacity=start.capacity,
        )

    def drop_solo(self) -> None:
        """Free the one for single images."""
        self._solo = None


def _answer(
    predictors: _Predictors, shared: SharedBatch, request: Run, start: Start
) -> Ran | Failed:
    began, cpu = time.perf_counter(), time.process_time()
    end = request.first + request.count
    part = request.part or request.count
    try:
        start.failpoints.before_batch(shared.crops[request.first : end])
        for first in range(request.first, end, part):
            rows = slice(first, min(first + part, end))
            if start.failpoints.instant:
                shared.scores[rows] = 1 / predictors.first.classes
            else:
                shared.scores[rows] = predictors.scores(
                    shared.crops[rows], request.solo_threads, alone=request.count == 1
                )
    except Exception as error:  # noqa: BLE001 - any error of a native library fails this batch and no more
        return Failed(f"{type(error).__name__}: {own_sentence(error)}"[:LONGEST])
    return Ran(time.perf_counter() - began, time.process_time() - cpu)
