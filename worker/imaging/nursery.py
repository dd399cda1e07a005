"""The process that forks image processes, seen from the worker: started once, asked for more."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from worker.errors import UnfitSystemError
from worker.imaging.protocol import Frames, NonsenseError, Setup, frame
from worker.runtime.child_environment import child_environment
from worker.runtime.processes import end_process, start_logged

__all__ = ["Nursery"]

START_TIMEOUT = 60.0
"""Seconds; loading the codecs takes less than one, more from a cold disk."""

_ENVIRONMENT = {
    # With threads of numerical libraries it could not fork; codecs need none.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # glibc gives what was freed back to the kernel, which clears it before it is had again: a fifth
    # of the time of a small photograph. So some is kept.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024 * 1024),
}

_CHUNK = 64 * 1024


class Nursery:
    """Forks image processes; for one event loop.

    Args:
        idle: whether they take only the time of cores that nobody else wants.

    Attributes:
        pid: of the process that forks; None while there is none.
        on_started: called with the number of a process that has been forked, and its pid.
        on_ended: called with the number of a process that is gone, its exit status (negative: the
            signal; None: it was never there) and the seconds of processor time that it took.
        on_lost: called when the process that forks is gone, and with it all that it forked.
    """

    def __init__(self, *, idle: bool = False) -> None:
        self._idle = idle
        self.on_started: Callable[[int, int], None] = lambda *_: None
        self.on_ended: Callable[[int, int | None, float], None] = lambda *_: None
        self.on_lost: Callable[[], None] = lambda: None
        self._socket: socket.socket | None = None
        self._finalizer: weakref.finalize[..., Nursery] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._frames = Frames()
        # Invariant: False until `start` has returned, so that its caller alone hears of a failure.
        self._up = False
        self.pid: int | None = None

    async def start(self) -> None:
        """Start the process, and wait until it has loaded the codecs.

        It ends with the thread that calls this.

        Raises:
            UnfitSystemError: the system lacks a library that a codec needs.
            OSError: the system has no room for another process, or the process died or hung.
        """
        self.stop()
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        try:
            process, _ = start_logged(
                "worker.images.forks",
                (os.getpid(), theirs.fileno(), int(self._idle)),
                (theirs.fileno(),),
                name="native.image",
                environ=child_environment() | _ENVIRONMENT,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._socket, self._frames, self.pid = ours, Frames(), process.pid
        # Reached at interpreter exit too, so that no way of ending leaves a process behind.
        self._finalizer = weakref.finalize(self, _release, process, ours)
        self._ready = loop.create_future()
        loop.add_reader(ours.fileno(), self._read)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self._ready
            self._up = True
        except BaseException as error:
            self.stop()
            if isinstance(error, TimeoutError):
                raise OSError(
                    f"the image codecs were not loaded within {START_TIMEOUT:g} s"
                ) from None
            raise

    def set_up(self, setup: Setup) -> None:
        """Say what all image processes have in common, before the first one is asked for.

        Raises:
            OSError: the process that forks is gone.
        """
        self._say({"setup": setup.to_dict()})

    def fork(self, number: int, descriptors: Sequence[int]) -> None:
        """Ask for an image process.

        Args:
            number: what it is called from now on.
            descriptors: what it inherits: see `worker.images.process.Descriptors`.

        Raises:
            OSError: the process that forks is gone.
        """
        if self._socket is None:
            raise BrokenPipeError
        socket.send_fds(self._socket, [frame({"fork": number})], list(descriptors))

    def lose(self) -> None:
        """End the process and all that it forked, and tell `on_lost`."""
        was_up = self._up
        self.stop()
        if was_up:
            self.on_lost()
        elif self._ready is not None and not self._ready.done():
            self._ready.set_exception(OSError("the process that loads the image codecs died"))

    def kill(self, number: int) -> None:
        """End an image process at once, if it still runs."""
        self._try_to_say({"kill": number})

    def calm(self, number: int) -> None:
        """Have an image process give way to all others."""
        self._try_to_say({"calm": number})

    def stop(self) -> None:
        """End the process, and all that it forked."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
        if self._finalizer is not None:
            self._finalizer()
        self._socket = self._finalizer = self.pid = None
        self._up = False

    def _try_to_say(self, message: dict[str, object]) -> None:
        # If it is gone, so are all that it forked.
        try:
            self._say(message)
        except OSError:
            self.lose()

    def _say(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            return
        data = frame(message)
        if self._socket.send(data) != len(data):
            raise BrokenPipeError

    def _read(self) -> None:
        assert self._socket is not None
        try:
            chunk = self._socket.recv(_CHUNK)
            messages = list(self._frames.feed(chunk))
        except BlockingIOError:
            return
        except (OSError, NonsenseError):
            chunk, messages = b"", []
        for message in messages:
            self._hear(message)
        if not chunk:
            self.lose()

    def _hear(self, message: dict[str, Any]) -> None:
        assert self._ready is not None
        match message:
            case {"started": number, "pid": pid}:
                self.on_started(number, pid)
            case {"ended": number, "status": status, "cpu": cpu}:
                self.on_ended(number, status, cpu)
            case {"ready": _} if not self._ready.done():
                self._ready.set_result(None)
            case {"unfit": why} if not self._ready.done():
                self._ready.set_exception(UnfitSystemError(why))


def _release(process: subprocess.Popen[bytes], ours: socket.socket) -> None:
    end_process(process)
    ours.close()
