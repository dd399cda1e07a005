"""One predictor process seen from the worker: start, run, kill. Blocking; driven by one thread.

Waiting for the process releases the GIL, so the event loop goes on while a batch is computed.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from worker.device import Device
from worker.errors import (
    ModelError,
    PredictorCrashedError,
    PredictorError,
    PredictorTimeoutError,
    UnfitSystemError,
)
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
from worker.kernels import PLAIN_KERNELS, Kernels
from worker.model import ModelSpec
from worker.model.files import ModelFiles
from worker.runtime.child_environment import child_environment
from worker.runtime.messages import BadMessageError, Channel
from worker.runtime.native_output import NativeOutput
from worker.runtime.processes import anonymous_file, end_process, start_logged

__all__ = ["Slot", "buffers_for"]

REAP_TIMEOUT = 2.0
"""Seconds until a process whose socket has closed must have ended."""

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
        self._threads = threads
        self._solo_threads = 0
        self.backend = ""
        self._timeout = timeout
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._output: NativeOutput | None = None
        self._channel: Channel | None = None
        self._shared: SharedBatch | None = None
        self._finalizer: weakref.finalize[..., Slot] | None = None
        # Invariant: set before `_process` is looked at to interrupt it, and looked at after
        # `_process` is set: a process that is just being started escapes neither.
        self._interrupted = False

    @property
    def pid(self) -> int | None:
        """The process that runs now, or None."""
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        """Whether a process is up, as far as is known."""
        return self._shared is not None

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
        ours, theirs = socket.socketpair()
        memory = anonymous_file()
        try:
            self._process, self._output = start_logged(
                "worker.predictor.process",
                (os.getpid(), theirs.fileno(), memory),
                (theirs.fileno(), memory),
                # Paddle prints when it likes, and its stack when it crashes; a command's output
                # must stay readable.
                name="native.predictor",
                # Milliseconds: Paddle's threads would spin for 200 after a run, on others' cores.
                environ=child_environment(
                    OMP_NUM_THREADS=str(self._start.threads),
                    KMP_BLOCKTIME=os.environ.get("KMP_BLOCKTIME", "1"),
                ),
            )
            # Reached at interpreter exit too, so that no way of ending leaves a process behind.
            self._finalizer = weakref.finalize(self, end_process, self._process)
            theirs.close()
            self._channel = Channel(ours.detach())
            if self._interrupted:
                # The interruption came before there was a process to end.
                self.kill()
                raise PredictorCrashedError("the predictor was interrupted while it started")
            answer = self._ask(self._start, min(timeout, self._start_timeout))
            if isinstance(answer, Failed):
                self.kill()
                raise UnfitSystemError(answer.why) if answer.unfit else ModelError(answer.why)
            if not isinstance(answer, Loaded):
                raise self._broken("it is no answer to what was asked")
            self._spec.check_classes(answer.classes)
            self.backend = answer.backend
            rows = self._start.capacity * self._start.buffers
            self._shared = SharedBatch(memory, rows, self._start.spec.input_size, answer.classes)
        finally:
            ours.close()
            theirs.close()
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
        shared = self._shared
        if shared is not None:
            self._put(crops, shared, buffer)
        return shared

    def _put(
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
        scores, ran = self._run(crops, solo=solo, buffer=buffer, staged=staged)
        return scores, ran.seconds

    def time(self, crops: Sequence[npt.NDArray[np.uint8]], *, solo: bool = False) -> RunTime:
        """Run one batch as `run` does, for the time that it takes.

        Returns:
            What it took.

        Raises:
            PredictorError: as `run` does.
        """
        began = time.perf_counter()
        _, ran = self._run(crops, solo=solo)
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
            self._ask(DropSolo(), self._timeout)

    def _run(
        self,
        crops: Sequence[npt.NDArray[np.uint8]],
        *,
        solo: bool,
        timeout: float | None = None,
        buffer: int = 0,
        staged: SharedBatch | None = None,
    ) -> tuple[npt.NDArray[np.float32], Ran]:
        if self._shared is None:
            raise PredictorCrashedError("the predictor process is not running")
        if staged is not self._shared:
            # Not staged, or for a process that has ended since, with its memory.
            self._put(crops, self._shared, buffer)
        first = buffer * self._start.capacity
        request = Run(len(crops), self._solo_threads if solo else 0, first)
        answer = self._ask(request, self._timeout if timeout is None else timeout)
        if isinstance(answer, Failed):
            raise PredictorError(answer.why)
        # A copy first: nothing that the process does to its memory changes what was checked.
        scores = self._shared.scores[first : first + len(crops)].copy()
        if not isinstance(answer, Ran) or not _are_scores(scores):
            raise self._broken("these are no scores")
        return scores, answer

    def interrupt(self) -> None:
        """End the process for good, from another thread.

        Callers that wait in `start` or `run` get `PredictorCrashedError`.
        """
        self._interrupted = True
        process = self._process
        if process is not None:
            process.kill()

    def kill(self) -> None:
        """End the process at once and free what it held."""
        if self._channel is not None:
            self._channel.close()
        if self._finalizer is not None:
            self._finalizer()
        if self._output is not None:
            # What it said before it ended, which tells why.
            self._output.join(REAP_TIMEOUT)
        self._process = self._channel = self._shared = self._finalizer = self._output = None

    def _ask(self, message: Start | Run | DropSolo, timeout: float) -> Loaded | Ran | Failed:
        """Send one message and wait for its answer; a process that gives none is killed."""
        assert self._channel is not None
        deadline = time.monotonic() + timeout
        try:
            self._channel.send(to_message(message), timeout)
            return read_answer(self._channel.receive(max(0.0, deadline - time.monotonic())))
        except TimeoutError as error:
            self.kill()
            raise PredictorTimeoutError(
                f"the predictor did not answer within {timeout:g} s and was killed"
            ) from error
        except BadMessageError as error:
            raise self._broken(str(error)) from error
        except (EOFError, OSError) as error:
            status = self._reap()
            raise PredictorCrashedError(f"the predictor process died ({status})") from error

    def _broken(self, why: str) -> PredictorCrashedError:
        """End a process that answers what no predictor does, so that it computes nothing more."""
        self.kill()
        return PredictorCrashedError(
            f"the predictor process answered with nonsense ({why}) and was killed"
        )

    def _reap(self) -> str:
        """How the process ended, once it has; it is killed if it lives on without its socket."""
        process = self._process
        assert process is not None
        try:
            code = process.wait(REAP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            return "its socket closed"
        self.kill()
        return f"signal {-code}" if code < 0 else f"exit status {code}"


def _are_scores(scores: npt.NDArray[np.float32]) -> bool:
    # False for what is no number too.
    return bool(scores.min() >= 0 and scores.max() <= 1 + ROUNDING)
