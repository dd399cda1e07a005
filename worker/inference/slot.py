"""One predictor process seen from the worker: start, run, kill. Blocking; driven by one thread.

Waiting for the process releases the GIL, so the event loop goes on while a batch is computed. What
never waits, `begin_at_once` and `finish_at_once`, an event loop may call while that thread does
nothing: waking a thread and hearing back from it takes longer than both.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from worker.device import Device
from worker.errors import PredictorCrashedError, PredictorError
from worker.failpoints import Failpoints
from worker.inference.calibration import RunTime, noise
from worker.inference.protocol import (
    BackendName,
    DropSolo,
    Failed,
    Loaded,
    Ran,
    Run,
    SharedBatch,
    Start,
    read_answer,
    to_message,
)
from worker.inference.slot_process import SlotProcess
from worker.kernels import PLAIN_KERNELS, Kernels
from worker.model import ModelSpec
from worker.model.files import ModelFiles
from worker.runtime.messages import BadMessageError
from worker.runtime.processes import anonymous_file

__all__ = ["Begun", "Slot", "buffers_for"]

AT_ONCE_BYTES = 2 * 1024 * 1024
"""Bytes of a batch, or of its scores, for which an event loop has time: about 0.3 ms."""

ROUNDING = 1e-5
"""How far above 1 a score may be."""


def buffers_for(device: Device) -> int:
    """Choose how many batches a slot's memory holds.

    A GPU would wait while its next batch is copied. On CPU the copy takes a core from predictors
    whenever it is made.

    Returns:
        1 or 2.
    """
    return 2 if device.kind == "gpu" else 1


@dataclass(frozen=True, slots=True)
class Begun:
    """A batch that the process computes.

    Attributes:
        first: row of the shared memory that the first image is in.
        deadline: when it must be done, on `time.monotonic`.
    """

    count: int
    first: int
    deadline: float


class Slot:
    """A predictor process on one device, or the place where the next one will run.

    Args:
        spec: the model that it loads.
        device: a single one.
        threads: CPU threads of its predictor.
        capacity: most images of one batch.
        timeout: seconds for one batch.
        start_timeout: seconds to load the model.
        failpoints: faults to inject, for tests.
        idle: whether its process takes only the time of cores that nobody else wants.
        kernels: how the network is computed.

    Attributes:
        backend: what computes in its process, or did in the last one, such as `paddle+onednn`;
            empty before the first with the chosen backend and threads.
        buffers: batches that the memory shared with its process holds; see `stage`.
        part: images of a batch that its process computes at once; 0 for all.
    """

    def __init__(  # noqa: PLR0913 - all that a process is told meets here
        self,
        spec: ModelSpec,
        device: Device,
        *,
        threads: int,
        capacity: int,
        timeout: float,
        start_timeout: float,
        failpoints: Failpoints,
        idle: bool = False,
        kernels: Kernels = PLAIN_KERNELS,
    ) -> None:
        self._spec = spec
        self._files = ModelFiles(spec)
        # Thousands of labels or thresholds, which the process does not need, could fill the socket.
        bare = replace(spec, labels=(), rule=type(spec.rule)())
        self.buffers = buffers_for(device)
        self._start = Start(
            bare,
            device,
            threads,
            capacity,
            failpoints,
            "paddle",
            idle,
            kernels,
            self.buffers,
        )
        self.part = 0
        self._threads = threads
        self._solo_threads = 0
        self.backend = ""
        self._timeout = timeout
        self._start_timeout = start_timeout
        self._process = SlotProcess()

    @property
    def pid(self) -> int | None:
        """The process that runs now, or None."""
        return self._process.pid

    @property
    def threads(self) -> int:
        """CPU threads of its predictor, but for runs as `solo`."""
        return self._start.threads

    @property
    def whole(self) -> bool:
        """Whether its device computes batches best whole, rather than in parts."""
        return self._start.device.kind != "cpu"

    @property
    def running(self) -> bool:
        """Whether a process is up, as far as is known."""
        return self._process.shared is not None

    def choose(self, backend: BackendName, solo_threads: int = 0, threads: int = 0) -> None:
        """Have the next processes compute with `backend`; one that computes otherwise is ended.

        The default is Paddle.

        Args:
            solo_threads: CPU threads for what is run as `solo`, which costs a second copy of the
                network; 0 for no such runs.
            threads: CPU threads of the first copy; 0 for those that the slot was made with.
        """
        self._solo_threads = solo_threads
        threads = threads or self._threads
        if (backend, threads) != (self._start.backend, self._start.threads):
            self.kill()
            self.backend = ""
            self._start = replace(self._start, backend=backend, threads=threads)

    def start(self, within: float | None = None) -> None:
        """Start the process and load the model; nothing if it is up.

        The process ends with the thread that calls this, as the kernel takes that for its parent.

        Args:
            within: seconds that it may take, where that is less than `start_timeout`.

        Raises:
            ModelError: the process says why it cannot load the model, or why not with this
                backend, or the network has other classes than the model's description; or the
                files are another model's by now.
            UnfitSystemError: it says which library the system lacks.
            PredictorError: it died or took too long.
            OSError: the system has no room for another process.
        """
        if self.running:
            return
        try:
            self._start_process(self._start_timeout if within is None else within)
        except BaseException:
            self.kill()
            raise

    def _start_process(self, timeout: float) -> None:
        # With files that were replaced meanwhile, results would say the wrong digest.
        self._files.check()
        memory = anonymous_file()
        try:
            loaded = self._process.start(self._start, memory, min(timeout, self._start_timeout))
            self._spec.check_classes(loaded.classes)
            self.backend = loaded.backend
            rows = self._start.capacity * self._start.buffers
            self._process.shared = SharedBatch(
                memory, rows, self._start.spec.input_size, loaded.classes
            )
        finally:
            os.close(memory)

    def stage(self, crops: Sequence[npt.NDArray[np.uint8]], buffer: int) -> SharedBatch | None:
        """Put a batch together in the shared memory, while the process computes another one.

        Unlike all else this may be called from a second thread.

        Args:
            crops: `[H, W, 3] uint8` each, at most `capacity`.
            buffer: less than `buffers`, and not that of the batch that is computed.

        Returns:
            The memory that holds it, for `run`; None without a process.
        """
        shared = self._process.shared
        if shared is not None:
            self._copy(crops, shared, buffer)
        return shared

    def _copy(
        self, crops: Sequence[npt.NDArray[np.uint8]], shared: SharedBatch, buffer: int
    ) -> None:
        for row, crop in enumerate(crops, buffer * self._start.capacity):
            shared.crops[row] = crop

    def run(
        self,
        crops: Sequence[npt.NDArray[np.uint8]],
        *,
        solo: bool = False,
        buffer: int = 0,
        staged: SharedBatch | None = None,
    ) -> tuple[npt.NDArray[np.float32], float]:
        """Run one batch.

        Args:
            crops: `[H, W, 3] uint8` each, at most `capacity`.
            solo: whether to compute it on the `solo_threads` that were chosen.
            buffer: less than `buffers`: where the process finds it.
            staged: what `stage` returned for these crops and this buffer.

        Returns:
            Scores `[N, C] float32`, and the seconds that the predictor took.

        Raises:
            PredictorError: the predictor raised an error; its process is still up.
            PredictorCrashedError: the process died.
            PredictorTimeoutError: it did not answer in time and was killed.
        """
        scores, ran = self._run(crops, solo=solo, part=self.part, buffer=buffer, staged=staged)
        return scores, ran.seconds

    def begin_at_once(
        self,
        crops: Sequence[npt.NDArray[np.uint8]],
        *,
        solo: bool = False,
        buffer: int = 0,
        staged: SharedBatch | None = None,
    ) -> Begun | None:
        """Do the first half of `run` without waiting: give the process a batch.

        Args:
            crops: as for `run`, and so are the others.

        Returns:
            What `finish` takes, once `fileno` is readable; None where `run` must do it all, since
            it takes long or something is wrong.
        """
        channel, shared = self._process.channel, self._process.shared
        if channel is None or shared is None or channel.unread:
            return None
        if staged is not shared and sum(crop.nbytes for crop in crops) > AT_ONCE_BYTES:
            return None
        begun, request = self._put(crops, shared, solo, self.part, buffer, staged)
        return begun if channel.send_at_once(to_message(request)) else None

    def fileno(self) -> int:
        """Give the descriptor that is readable when the process has answered, or is gone.

        Returns:
            The descriptor, valid until the process is killed; -1 without one.
        """
        channel = self._process.channel
        return -1 if channel is None else channel.fileno()

    def finish(self, begun: Begun) -> tuple[npt.NDArray[np.float32], float]:
        """Do the second half of `run`: wait for the answer.

        Returns:
            As `run`.

        Raises:
            PredictorError: as `run` does.
        """
        scores, ran = self._judge(begun, self._process.receive(begun.deadline, self._timeout))
        return scores, ran.seconds

    def finish_at_once(self, begun: Begun) -> tuple[npt.NDArray[np.float32], float] | None:
        """Do what `finish` does if a right answer is there, without waiting.

        Returns:
            As `run`; None where `finish` must do it, since it has to wait, it takes long, or
            something is wrong.
        """
        channel, shared = self._process.channel, self._process.shared
        if channel is None or shared is None:
            return None
        if begun.count * shared.scores[0].nbytes > AT_ONCE_BYTES:
            return None
        if (message := channel.peek()) is None:
            return None
        try:
            answer = read_answer(message)
        except BadMessageError:
            return None
        scores = self._scores_of(begun)
        if not isinstance(answer, Ran) or scores is None:
            return None
        channel.drop()
        return scores, answer.seconds

    def time(
        self, crops: Sequence[npt.NDArray[np.uint8]], *, solo: bool = False, part: int = 0
    ) -> RunTime:
        """Run one batch as `run` does, for the time that it takes.

        Args:
            part: images that are computed at once; 0 for all.

        Returns:
            What it took.

        Raises:
            PredictorError: as `run` does.
        """
        began = time.perf_counter()
        _, ran = self._run(crops, solo=solo, part=part)
        elapsed = time.perf_counter() - began
        if self._start.device.kind != "cpu":
            return RunTime(elapsed, elapsed)
        threads = self._solo_threads if solo else self._start.threads
        return RunTime(elapsed, ran.cpu_seconds / threads)

    def share(self) -> None:
        """Have runs as `solo` on the threads that the slot was made with; see `choose`."""
        self._solo_threads = self._threads

    def prepare_solo(self) -> None:
        """Have the process load what `run` needs for `solo`, and run it once.

        It may take as long as to load the model when the process starts.

        Raises:
            PredictorError: as `run` does.
        """
        image = noise(1, self._start.spec.input_size)
        self._run(image, solo=True, timeout=self._start_timeout + self._timeout)

    def drop_solo(self) -> None:
        """Run nothing as `solo` any more, here and in the next processes; memory is freed.

        Raises:
            PredictorError: the process died or hung.
        """
        self._solo_threads = 0
        if self.running:
            self._process.ask(DropSolo(), self._timeout)

    def _run(
        self,
        crops: Sequence[npt.NDArray[np.uint8]],
        *,
        solo: bool,
        timeout: float | None = None,
        part: int = 0,
        buffer: int = 0,
        staged: SharedBatch | None = None,
    ) -> tuple[npt.NDArray[np.float32], Ran]:
        shared = self._process.shared
        if shared is None:
            raise PredictorCrashedError("the predictor process is not running")
        begun, request = self._put(crops, shared, solo, part, buffer, staged)
        timeout = self._timeout if timeout is None else timeout
        return self._judge(begun, self._process.ask(request, timeout))

    def _put(
        self,
        crops: Sequence[npt.NDArray[np.uint8]],
        shared: SharedBatch,
        solo: bool,
        part: int,
        buffer: int,
        staged: SharedBatch | None,
    ) -> tuple[Begun, Run]:
        """Have a batch in the shared memory, and say where."""
        if staged is not shared:
            # Not staged, or for a process that has ended since, with its memory.
            self._copy(crops, shared, buffer)
        first = buffer * self._start.capacity
        begun = Begun(len(crops), first, time.monotonic() + self._timeout)
        return begun, Run(len(crops), self._solo_threads if solo else 0, first, part)

    def _judge(
        self, begun: Begun, answer: Loaded | Ran | Failed
    ) -> tuple[npt.NDArray[np.float32], Ran]:
        if isinstance(answer, Failed):
            raise PredictorError(answer.why)
        scores = self._scores_of(begun)
        if not isinstance(answer, Ran) or scores is None:
            raise self._process.broken("these are no scores")
        return scores, answer

    def _scores_of(self, begun: Begun) -> npt.NDArray[np.float32] | None:
        """The scores of a batch; None if they are none."""
        shared = self._process.shared
        if shared is None:
            return None
        # A copy first: nothing that the process does to its memory changes what was checked.
        scores = shared.scores[begun.first : begun.first + begun.count].copy()
        return scores if _are_scores(scores) else None

    def interrupt(self) -> None:
        """End the process for good, from another thread.

        Callers that wait in `start` or `run` get `PredictorCrashedError`.
        """
        self._process.interrupt()

    def kill(self) -> None:
        """End the process at once and free what it held."""
        self._process.kill()


def _are_scores(scores: npt.NDArray[np.float32]) -> bool:
    # False for what is no number too.
    return bool(scores.min() >= 0 and scores.max() <= 1 + ROUNDING)
