"""Makes image processes: a process that has all codecs loaded, and forks one when it is asked to.

A fork takes milliseconds where a start with all imports takes some tenths of a second of processor
time, so an image that ends its process costs little; and the forks share the codecs' memory. No
untrusted byte is read here, and there is one thread, so that forking is safe.

`worker.imaging.nursery` starts it.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, NoReturn

from worker.errors import UnfitSystemError
from worker.imaging.protocol import Frames, Setup, frame
from worker.runtime.children import die_with
from worker.runtime.priority import give_way, run_when_idle

__all__ = ["main"]

MAX_DESCRIPTORS = 16
_CHUNK = 64 * 1024


def main() -> None:
    """Serve the owner until it closes the socket or dies; the arguments are OWNER SOCKET IDLE."""
    owner, descriptor, idle = (int(argument) for argument in sys.argv[1:4])
    die_with(owner)
    if idle:
        # What is forked inherits it.
        run_when_idle()
    owner_socket = socket.socket(fileno=descriptor)
    # Set, not asked for: a descriptor does not block if the program that made it has a default
    # time-out, and an owner that is slow to listen would end this process.
    owner_socket.settimeout(None)
    with owner_socket, suppress(BrokenPipeError, ConnectionResetError):
        try:
            # With all codecs, here and not in each fork.
            from worker.images import process  # noqa: PLC0415
        except UnfitSystemError as error:
            owner_socket.sendall(frame({"unfit": str(error)}))
            return
        # Forks share what is not written to, and collecting garbage writes.
        gc.collect()
        gc.freeze()
        _Forks(owner_socket, process.serve, process.Descriptors).run()


class _Forks:
    def __init__(self, owner: socket.socket, serve: Any, descriptors: Any) -> None:  # noqa: ANN401 - of a module that is loaded late
        self._owner = owner
        self._serve = serve
        self._descriptors = descriptors
        self._frames = Frames()
        self._setup: Setup | None = None
        self._numbers: dict[int, int] = {}
        self._signals, self._signalled = socket.socketpair()
        for end in (self._signals, self._signalled):
            end.setblocking(False)

    def run(self) -> None:
        import selectors  # noqa: PLC0415

        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        self._say(ready=os.getpid())
        with selectors.DefaultSelector() as selector:
            selector.register(self._owner, selectors.EVENT_READ)
            selector.register(self._signals, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._signals in ready:
                    with suppress(BlockingIOError):
                        self._signals.recv(_CHUNK)
                    self._reap()
                if self._owner in ready and not self._take_in(selector):
                    return

    def _take_in(self, selector: Any) -> bool:  # noqa: ANN401
        chunk, descriptors, _, _ = socket.recv_fds(self._owner, _CHUNK, MAX_DESCRIPTORS)
        for message in self._frames.feed(chunk):
            match message:
                case {"setup": setup}:
                    self._setup = Setup.from_dict(setup)
                case {"fork": number}:
                    self._fork(number, descriptors, selector)
                case {"kill": number}:
                    self._on(number, lambda pid: os.kill(pid, signal.SIGKILL))
                case {"calm": number}:
                    self._on(number, give_way)
        return bool(chunk)

    def _on(self, number: int, do: Any) -> None:  # noqa: ANN401
        """Do something to a process that has not ended: its pid is nobody else's."""
        for pid, known in self._numbers.items():
            if known == number:
                with suppress(OSError):
                    do(pid)

    def _fork(self, number: int, descriptors: list[int], selector: Any) -> None:  # noqa: ANN401
        owner = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._say(ended=number, status=None, cpu=0.0, why=error.strerror)
            return
        finally:
            if os.getpid() == owner:
                for descriptor in descriptors:
                    os.close(descriptor)
        if pid == 0:
            self._become(descriptors, owner, selector)
        self._numbers[pid] = number
        self._say(started=number, pid=pid)

    def _become(self, descriptors: list[int], owner: int, selector: Any) -> NoReturn:  # noqa: ANN401
        """In the fork: be an image process, and nothing of the process before."""
        status = 1
        try:
            die_with(owner)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            selector.close()
            for end in (self._owner, self._signals, self._signalled):
                end.close()
            theirs, progress, crops, *lanes = descriptors
            self._serve(self._setup, self._descriptors(theirs, progress, crops, tuple(lanes)))
            status = 0
        finally:
            os._exit(status)

    def _reap(self) -> None:
        while self._numbers:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            self._say(
                ended=self._numbers.pop(pid),
                status=os.waitstatus_to_exitcode(status),
                cpu=usage.ru_utime + usage.ru_stime,
            )

    def _say(self, **message: object) -> None:
        self._owner.sendall(frame(message))
