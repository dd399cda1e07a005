"""A process of a training seen from its owner: started, asked, listened to, ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from worker.errors import ModelError, TrainingError, UnfitSystemError
from worker.runtime.child_environment import child_environment
from worker.runtime.messages import BadMessageError, Channel
from worker.runtime.processes import end_process, start_logged

__all__ = ["TrainingProcess"]

POLL = 0.2
"""Seconds after which a signal is noticed while a process computes."""

_ERRORS = {"model": ModelError, "unfit": UnfitSystemError}


class TrainingProcess:
    """One of the modules of `worker.training.process` in a process; a context manager that ends it.

    Args:
        module: its name there.
        threads: of the library that computes. The same number gives the same sums.
        descriptor: a file that it inherits.
    """

    def __init__(self, module: str, threads: int, descriptor: int) -> None:
        ours, theirs = socket.socketpair()
        environ = child_environment(
            None,
            OMP_NUM_THREADS=str(threads),
            # Sums in another order come out otherwise: libraries choose neither threads nor kernels
            # by what else goes on.
            OMP_DYNAMIC="FALSE",
            # Threads that wait for one another leave the processors to image processes.
            OMP_WAIT_POLICY="PASSIVE",
            MKL_DYNAMIC="FALSE",
            FLAGS_cudnn_deterministic="1",
            FLAGS_embedding_deterministic="1",
            NVIDIA_TF32_OVERRIDE="0",
            # Else glibc gives the memory of each layer back, and the kernel clears it for the next.
            MALLOC_MMAP_THRESHOLD_=str(32 * 1024 * 1024),
            MALLOC_TRIM_THRESHOLD_=str(1024 * 1024 * 1024),
        )
        try:
            self._process, self._output = start_logged(
                f"worker.training.process.{module}",
                (os.getpid(), theirs.fileno(), descriptor),
                (theirs.fileno(), descriptor),
                name="native.training",
                environ=environ,
            )
        finally:
            theirs.close()
        self._channel = Channel(ours)
        self._name = module

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()
        self.kill()

    def kill(self) -> None:
        """End it now."""
        end_process(self._process)

    def ask(self, **request: object) -> None:
        """Send a request.

        Raises:
            TrainingError: the process has ended.
        """
        try:
            self._channel.send(request)
        except EOFError as error:
            raise self._ended() from error

    def answer(
        self,
        heard: Callable[[Mapping[str, Any]], None] = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Mapping[str, Any]:
        """Wait for the answer to a request.

        Args:
            heard: called with what the process says meanwhile.
            stopping: asked now and then; once it is true, the process is told to stop, and its
                answer is awaited all the same.

        Returns:
            The answer: the first message whose `is` is not `progress`.

        Raises:
            ModelError: the process says what is wrong with the model.
            UnfitSystemError: the process says what the system lacks.
            TrainingError: the process says what is wrong with the training, or has ended.
        """
        told = False
        while True:
            if not told and stopping():
                told = True
                self.ask(do="stop")
            if not self._channel.heard(POLL):
                continue
            try:
                message = self._channel.receive()
            except (EOFError, BadMessageError) as error:
                raise self._ended() from error
            if message.get("is") == "failed":
                raise _ERRORS.get(message.get("kind", ""), TrainingError)(message["message"])
            if message.get("is") != "progress":
                return message
            heard(message)

    def _ended(self) -> TrainingError:
        status = self._process.wait()
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        advice = (
            "; a kernel that is short of memory ends processes like this: use a smaller "
            "--batch-size"
            if status == -9
            else ""
        )
        return TrainingError(f"the process that does `{self._name}` ended with {how}{advice}")
