"""One image process seen from the worker: its socket, its files, and the calls that it has."""

from __future__ import annotations

import asyncio
import enum
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from worker.imaging.call import Call, Content, encode
from worker.imaging.nursery import Nursery
from worker.imaging.protocol import LANES, Frames, NonsenseError, Reply, Up, frame, parse_reply
from worker.runtime.processes import anonymous_file

__all__ = ["ImageProcess", "Role"]

LARGE = 1024 * 1024
"""Bytes from which on a file's memory is given back at once, and copying is no work for a loop."""

MAX_FILE = 2**31
"""Bytes that a process may claim to have written."""

MAX_SIDE = 2**16

_CHUNK = 64 * 1024
_NUMBER = struct.Struct("<q")


class Role(enum.Enum):
    """What a process is there for."""

    REGULAR = enum.auto()
    """It takes any call."""
    ALONE = enum.auto()
    """It was made for one call, of an image that has ended another process."""
    ASIDE = enum.auto()
    """Its call lasts long; another process has taken its place."""
    SURPLUS = enum.auto()
    """It only draws the pictures that it holds."""


class ImageProcess:
    """An image process; for one event loop.

    Args:
        number: what it is called.
        born: when it was asked for, on the pool's clock.
        crops: descriptor of the file with the crops.
        on_reply: called with this process, the call and what became of it; without a call once,
            when it is ready for its first one.
        on_closed: called once with this process when its socket is closed, or it talks nonsense.

    Attributes:
        role: what it is there for.
        pid: None before it is known.
        calls: those that it has, in their order; the first one runs.
        draws: calls that wait for a lane, since only this process has their pictures.
        pictures: bytes of each picture that it holds, by the number of the call that made it.
        since: when its first call began, on the pool's clock.
        closed: whether it is gone, or about to be.
        cause: why its owner has killed it; empty otherwise.
        proved: whether it was ever ready for a call.
        calm: whether it gives way to all others.
        asked_at: since when it should be there, or gone, on the fleet's clock; None if it is so.
        ended_in: the number of the call that it was in when it was closed; 0 if it was in none.

    Raises:
        OSError: the system has no room for another process.
    """

    def __init__(
        self,
        number: int,
        role: Role,
        born: float,
        nursery: Nursery,
        crops: int,
        on_reply: Callable[[ImageProcess, Call | None, Reply], None],
        on_closed: Callable[[ImageProcess], None],
    ) -> None:
        self.number = number
        self.role = role
        self.born = born
        self.pid: int | None = None
        self.calls: deque[Call] = deque()
        self.draws: deque[Call] = deque()
        self.pictures: dict[int, int] = {}
        self.since = 0.0
        self.closed = False
        self.cause = ""
        self.ended_in = 0
        self.proved = False
        self.calm = False
        self.asked_at: float | None = None
        self._on_reply = on_reply
        self._on_closed = on_closed
        self._frames = Frames()
        self._users = 1
        self._files: list[int] = []
        self._socket, theirs = socket.socketpair()
        try:
            self._socket.setblocking(False)
            for _ in range(1 + LANES):
                self._files.append(anonymous_file())
            progress, *lanes = self._files
            nursery.fork(number, (theirs.fileno(), progress, crops, *lanes))
        except BaseException:
            self._release()
            raise
        finally:
            theirs.close()
        self.lanes = list(range(LANES))
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    @property
    def picture_bytes(self) -> int:
        """Bytes of all pictures that it holds."""
        return sum(self.pictures.values())

    @property
    def idle(self) -> bool:
        """Whether it has no calls, none that wait for a lane, and none that is on its way."""
        return len(self.lanes) == LANES and not self.draws

    def send(self, message: dict[str, object]) -> None:
        """Say something; a process that does not listen is closed."""
        if self.closed:
            return
        data = frame(message)
        try:
            sent = self._socket.send(data)
        except OSError:
            sent = 0
        if sent != len(data):
            self._close()

    def drain(self) -> None:
        """Hear what a process that has ended had still said."""
        while not self.closed and self._read():
            pass

    def write(self, lane: int, content: Content) -> None:
        """Put what a call is about into a lane's file; in any thread, between `using`."""
        offset = 0
        for piece in _pieces(content):
            remaining = memoryview(piece).cast("B")
            while remaining:
                written = os.pwrite(self._files[1 + lane], remaining, offset)
                remaining, offset = remaining[written:], offset + written

    def read(self, lane: int, length: int) -> bytearray:
        """Take a result out of a lane's file; in any thread, between `using`.

        Returns:
            Its bytes: fewer than `length` where the process lied.
        """
        data = bytearray(length)
        view, offset = memoryview(data), 0
        while offset < length:
            count = os.preadv(self._files[1 + lane], [view[offset:]], offset)
            if count == 0:
                break
            offset += count
        view.release()
        del data[offset:]
        return data

    def empty(self, lane: int) -> None:
        """Give back the memory of a lane's file."""
        with suppress(OSError):
            os.ftruncate(self._files[1 + lane], 0)

    @contextmanager
    def using(self) -> Iterator[None]:
        """Keep the files open, although the process may end meanwhile."""
        self._users += 1
        try:
            yield
        finally:
            self._release()

    def close(self) -> None:
        """Forget the process; its end is somebody else's to see to."""
        if not self.closed:
            self.closed = True
            with suppress(OSError, struct.error):
                (self.ended_in,) = _NUMBER.unpack(os.pread(self._files[0], _NUMBER.size, 0))
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._release()

    def _release(self) -> None:
        self._users -= 1
        if self._users == 0:
            self._socket.close()
            for descriptor in self._files:
                os.close(descriptor)
            # Invariant: a descriptor is closed once; its number may be another file's by then.
            self._files = []

    def _read(self) -> bool:
        """Hear what it says; False if there is nothing, or nothing more will come."""
        try:
            chunk = self._socket.recv(_CHUNK)
            for message in self._frames.feed(chunk):
                self._hear(*parse_reply(message, MAX_SIDE, MAX_FILE))
                if self.closed:
                    return False
        except BlockingIOError:
            return False
        except NonsenseError as error:
            self.cause = self.cause or f"nonsense: {error}"
            chunk = b""
        except OSError:
            chunk = b""
        if not chunk:
            self._close()
        return bool(chunk)

    def _hear(self, number: int, reply: Reply) -> None:
        if isinstance(reply, Up):
            if self.proved:
                raise NonsenseError("ready for its first call again")
            self.proved = True
            self._on_reply(self, None, reply)
            return
        if not self.calls or self.calls[0].number != number:
            raise NonsenseError("an answer to a call that it does not have")
        self._on_reply(self, self.calls[0], reply)

    def _close(self) -> None:
        if not self.closed:
            self._on_closed(self)


def _pieces(content: Content) -> Iterator[bytes | memoryview]:
    """Take apart what is long and must be encoded, so that it is not held twice."""
    if not isinstance(content, str):
        yield content
        return
    for start in range(0, len(content), LARGE):
        yield encode(content[start : start + LARGE])
