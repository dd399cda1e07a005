"""The process of a slot: started, asked and answered, ended. Blocking; driven by the slot's thread.

A process that does not listen, answer or live, or that talks nonsense, is ended here; the error
says why.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from worker.errors import (
    ModelError,
    PredictorCrashedError,
    PredictorTimeoutError,
    UnfitSystemError,
)
from worker.inference.protocol import (
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
from worker.runtime.child_environment import child_environment
from worker.runtime.messages import BadMessageError, Channel
from worker.runtime.native_output import NativeOutput
from worker.runtime.processes import end_process, start_logged

__all__ = ["SlotProcess"]

REAP_TIMEOUT = 2.0
"""Seconds until a process whose socket has closed must have ended."""


class SlotProcess:
    """A predictor process, or the place where the next one will run.

    Attributes:
        channel: to the process; None without one.
        shared: the memory that is shared with the process. Set by the slot when the process has
            loaded the model; None until then, and again once the process is ended.
    """

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self.shared: SharedBatch | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._output: NativeOutput | None = None
        self._finalizer: weakref.finalize[..., SlotProcess] | None = None
        # Invariant: set before `_process` is looked at to interrupt it, and looked at after
        # `_process` is set: a process that is just being started escapes neither.
        self._interrupted = False

    @property
    def pid(self) -> int | None:
        """The process that runs now, or None."""
        return None if self._process is None else self._process.pid

    def start(self, start: Start, memory: int, timeout: float) -> Loaded:
        """Start the process and have it load the model; where that fails, `kill` is to be called.

        It ends with the thread that calls this, as the kernel takes that for its parent.

        Args:
            start: what it is told first.
            memory: descriptor of the file that it maps.
            timeout: seconds that it may take.

        Returns:
            What it has loaded.

        Raises:
            ModelError: it says why it cannot load the model.
            UnfitSystemError: it says which library the system lacks.
            PredictorError: it died or took too long.
            OSError: the system has no room for another process.
        """
        ours, theirs = socket.socketpair()
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
                    OMP_NUM_THREADS=str(start.threads),
                    KMP_BLOCKTIME=os.environ.get("KMP_BLOCKTIME", "1"),
                ),
            )
            # Reached at interpreter exit too, so that no way of ending leaves a process behind.
            self._finalizer = weakref.finalize(self, end_process, self._process)
            theirs.close()
            self.channel = Channel(ours.detach())
            if self._interrupted:
                # The interruption came before there was a process to end.
                self.kill()
                raise PredictorCrashedError("the predictor was interrupted while it started")
            answer = self.ask(start, timeout)
            if isinstance(answer, Failed):
                self.kill()
                raise UnfitSystemError(answer.why) if answer.unfit else ModelError(answer.why)
            if not isinstance(answer, Loaded):
                raise self.broken("it is no answer to what was asked")
            return answer
        finally:
            ours.close()
            theirs.close()

    def interrupt(self) -> None:
        """End the process for good, from another thread.

        Callers that wait in `start`, `ask` or `receive` get `PredictorCrashedError`.
        """
        self._interrupted = True
        process = self._process
        if process is not None:
            process.kill()

    def kill(self) -> None:
        """End the process at once and free what it held."""
        if self.channel is not None:
            self.channel.close()
        if self._finalizer is not None:
            self._finalizer()
        if self._output is not None:
            # What it said before it ended, which tells why.
            self._output.join(REAP_TIMEOUT)
        self._process = self.channel = self.shared = self._finalizer = self._output = None

    def ask(self, message: Start | Run | DropSolo, timeout: float) -> Loaded | Ran | Failed:
        """Send one message and wait for its answer; a process that gives none is killed.

        Args:
            timeout: seconds for both.

        Returns:
            The answer.

        Raises:
            PredictorCrashedError: the process died, or answers with nonsense.
            PredictorTimeoutError: it did not answer in time and was killed.
        """
        assert self.channel is not None
        deadline = time.monotonic() + timeout
        if self.channel.unread:
            raise self.broken("it says more than it was asked")
        with self._judging(timeout):
            self.channel.send(to_message(message), timeout)
        return self.receive(deadline, timeout)

    def receive(self, deadline: float, timeout: float) -> Loaded | Ran | Failed:
        """Wait for the answer to what was sent.

        Args:
            deadline: when it must be there, on `time.monotonic`.
            timeout: seconds that it had, for the error's message.

        Returns:
            The answer.

        Raises:
            PredictorError: as `ask` does.
        """
        assert self.channel is not None
        with self._judging(timeout):
            return read_answer(self.channel.receive(max(0.0, deadline - time.monotonic())))

    @contextmanager
    def _judging(self, timeout: float) -> Iterator[None]:
        """End a process that does not listen, answer or live, and say so."""
        try:
            yield
        except TimeoutError as error:
            self.kill()
            raise PredictorTimeoutError(
                f"the predictor did not answer within {timeout:g} s and was killed"
            ) from error
        except BadMessageError as error:
            raise self.broken(str(error)) from error
        except (EOFError, OSError) as error:
            status = self._reap()
            raise PredictorCrashedError(f"the predictor process died ({status})") from error

    def broken(self, why: str) -> PredictorCrashedError:
        """End a process that answers what no predictor does, so that it computes nothing more.

        Returns:
            The error that says so.
        """
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
