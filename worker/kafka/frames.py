"""What brokers answer, received into the memory in which it stays.

aiokafka reads through asyncio's streams, which copy each byte three times, and cuts the batches out
of an answer with one more copy. Here the kernel writes a long answer to where it is read from.
"""

from __future__ import annotations

import asyncio
import struct
import time
import weakref
from collections import deque
from typing import Any

from aiokafka.conn import AIOKafkaConnection, AIOKafkaProtocol

__all__ = ["FrameProtocol", "handle_frame", "in_place", "read_frames"]

SHORT = 16 * 1024
"""Bytes of a frame that is received with others, and copied: most answers have some hundred."""

TRUSTED = 8 * 1024 * 1024
"""Bytes for which there is room at once, as a frame's length asks for it. More is made as they
come: what is no broker may answer anything, which looks like a length of a gigabyte."""

_LENGTH = struct.Struct(">i")

_handle_frame = AIOKafkaConnection._handle_frame  # noqa: SLF001 - extended here

Frame = bytes | bytearray


def in_place(request: Any) -> Any:  # noqa: ANN401 - aiokafka is untyped
    """Have the answer to a request refer to the memory in which it was received.

    What is most of the answer is a `memoryview` then. aiokafka's own fetcher wants bytes.

    Returns:
        The request.
    """
    build = request.build

    def build_marked(kind: Any) -> Any:  # noqa: ANN401 - likewise
        built = build(kind)
        built.in_place = True
        return built

    request.build = build_marked
    return request


class FrameProtocol(asyncio.BufferedProtocol):
    """Receives frames, each behind its length; for one event loop.

    It has what asyncio's `StreamWriter` calls, and tells aiokafka's `reader` when nothing more
    will come.

    Args:
        closed: is done once the connection is lost.
        reader: gets no bytes.
    """

    def __init__(
        self,
        closed: asyncio.Future[None],
        reader: asyncio.StreamReader,
        *,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._streams: Any = AIOKafkaProtocol(closed, reader, loop=loop)
        self._drain_helper = self._streams._drain_helper  # noqa: SLF001 - for `StreamWriter`
        self._get_close_waiter = self._streams._get_close_waiter  # noqa: SLF001 - likewise
        self._loop = loop
        self._frames: deque[Frame] = deque()
        self._waiter: asyncio.Future[None] | None = None
        # Invariant: set once no more frames will come.
        self._end: BaseException | None = None
        # What is being received: short frames, or the beginning of a long one, or else a long one
        # of so many bytes, of which the first `_filled` are here.
        self._short = memoryview(bytearray(SHORT))
        self._long: bytearray | None = None
        self._length = 0
        self._room = self._short
        self._filled = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the transport."""
        self._streams.connection_made(transport)

    def pause_writing(self) -> None:
        """Have `drain` of asyncio's `StreamWriter` wait."""
        self._streams.pause_writing()

    def resume_writing(self) -> None:
        """Have it wait no longer."""
        self._streams.resume_writing()

    async def next(self) -> Frame:
        """Wait for the next frame.

        Returns:
            The frame without its length; nobody else has it.

        Raises:
            EOFError: the broker has closed the connection.
            OSError: it is lost.
            ValueError: what came is no frame.
        """
        while not self._frames:
            if self._end is not None:
                raise self._end
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._frames.popleft()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Say where bytes are to be written.

        Returns:
            A view of memory that is not filled yet.
        """
        return self._room[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of bytes that were written."""
        self._filled += nbytes
        if self._end is not None:
            self._filled = 0
        elif self._long is None:
            self._split()
        elif self._filled == self._length:
            self._keep(self._long)
            self._long, self._room, self._filled = None, self._short, 0
        elif self._filled == len(self._long):
            self._make_room(self._filled, min(self._length, 2 * self._filled))

    def eof_received(self) -> bool | None:
        """Note that the broker sends no more.

        Returns:
            Whether the transport stays open.
        """
        self._stop(asyncio.IncompleteReadError(b"", None))
        stays_open: bool | None = self._streams.eof_received()
        return stays_open

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that the connection is gone."""
        self._stop(exc or asyncio.IncompleteReadError(b"", None))
        # Errors that say why refer to this: they keep no part of a long frame in memory.
        self._long, self._room, self._filled = None, self._short, 0
        self._streams.connection_lost(exc)

    def _split(self) -> None:
        """Take complete frames out of the short ones' memory, or begin with a long one."""
        at = 0
        while self._filled - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._short, at)
            begin, end = at + _LENGTH.size, at + _LENGTH.size + length
            if length < 0:
                self._filled = 0
                self._stop(ValueError(f"a frame of {length} bytes"))
                return
            if end - at > SHORT:
                received = self._short[begin : self._filled]
                self._length = length
                self._make_room(0, min(length, TRUSTED))
                self._room[: len(received)] = received
                self._filled = len(received)
                return
            if end > self._filled:
                break
            self._keep(bytes(self._short[begin:end]))
            at = end
        self._filled -= at
        if at and self._filled:
            self._short[: self._filled] = bytes(self._short[at : at + self._filled])

    def _make_room(self, filled: int, size: int) -> None:
        """Have `size` bytes for a long frame, of which the first ones are here already."""
        room = bytearray(size)
        if filled:
            room[:filled] = self._room
        self._long, self._room = room, memoryview(room)

    def _keep(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._wake()

    def _stop(self, reason: BaseException) -> None:
        if self._end is None:
            self._end = reason
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def read_frames(reference: weakref.ref[Any]) -> None:
    """Hand frames to the connection to which they belong, as `AIOKafkaConnection._read` does it.

    Args:
        reference: to the connection, which nothing else here keeps alive.
    """
    if (connection := reference()) is None:
        return
    frames: FrameProtocol = connection._protocol  # noqa: SLF001 - aiokafka has no other way
    del connection
    while True:
        frame = await frames.next()
        if (connection := reference()) is None:
            return
        handle_frame(connection, frame)
        del connection, frame


def handle_frame(connection: Any, frame: Frame) -> None:  # noqa: ANN401 - aiokafka is untyped
    """Handle an answer as `AIOKafkaConnection._handle_frame` does it.

    A long one to a request that is `in_place` is not copied.
    """
    requests = connection._requests  # noqa: SLF001 - aiokafka has no other way
    correlation_id, request, answer = requests[0]
    stays = isinstance(frame, bytearray) and getattr(request, "in_place", False)
    if not stays or correlation_id is None or answer.done():
        _handle_frame(connection, bytes(frame))
        return
    data = _FrameReader(memoryview(frame))
    if request.parse_response_header(data).correlation_id != correlation_id:
        _handle_frame(connection, bytes(frame))  # closes it
        return
    answer.set_result(request.RESPONSE_TYPE.decode(data))
    connection._last_action = time.monotonic()  # noqa: SLF001 - likewise
    requests.popleft()


class _FrameReader:
    """Reads a frame, as `io.BytesIO` does it."""

    def __init__(self, frame: memoryview) -> None:
        self._data = frame
        self._at = 0

    def read(self, count: int) -> bytes | memoryview:
        """Read the next `count` bytes.

        Returns:
            Fewer where the frame ends. A view of what is most of the frame; a copy of what is
            less: it must not keep the whole frame in memory.
        """
        piece = self._data[self._at : self._at + count]
        self._at += len(piece)
        return piece if 2 * len(piece) > len(self._data) else bytes(piece)
