"""Requests that are written in pieces: what is long in them is not copied.

aiokafka joins a request six times before it is sent: a batch with its length, that with its
partition, its topic, its request, its header, and the whole with its length.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.types import Array, Bytes, Int32, Schema
from aiokafka.util import wait_for

__all__ = ["BatchBytes", "send_gathered"]

LONG = 16 * 1024
"""Bytes of a piece from which writing it by itself takes less than copying it."""

_LENGTH = struct.Struct(">i")

_send: Callable[..., Awaitable[Any]] = AIOKafkaConnection.send


class BatchBytes:
    """A batch's bytes in pieces, which are never joined.

    Attributes:
        pieces: in order; short neighbours are joined.
    """

    __slots__ = ("_size", "pieces")

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = list(_joined(pieces))
        self._size = sum(map(len, self.pieces))

    def __len__(self) -> int:
        """How many bytes there are."""
        return self._size

    def __bytes__(self) -> bytes:
        """All of them."""
        return b"".join(self.pieces)


class _Connection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka is untyped
    """Has access to what a connection keeps to itself."""

    def send(self, request: Any, expect_response: bool = True) -> Awaitable[Any]:  # noqa: ANN401 - likewise
        """Send a request, as aiokafka does it; one with batches in pieces.

        Returns:
            The answer.

        Raises:
            KafkaConnectionError: there is no connection.
            OSError: it is lost.
        """
        if not isinstance(request, ProduceRequest) or not expect_response or not self._writer:
            return _send(self, request, expect_response)
        prepared = request.prepare(self._versions)
        number = self._next_correlation_id()
        header = prepared.build_request_header(correlation_id=number, client_id=self._client_id)
        fields = [prepared.__dict__[name] for name in prepared.SCHEMA.names]
        pieces = [header.encode(), *_encode(prepared.SCHEMA, fields)]
        length = _LENGTH.pack(sum(map(len, pieces)))
        if self._writer.is_closing():
            # In Python 3.12 and 3.13 asyncio's `writelines` would have the selector watch a socket
            # that is about to be closed: the next connection with its number would never be read.
            raise ConnectionResetError("the transport is closing")
        self._writer.writelines(list(_joined([length, *pieces])))
        answer = self._loop.create_future()
        self._requests.append((number, prepared, answer))
        waiting: Awaitable[Any] = wait_for(answer, self._request_timeout)
        return waiting


send_gathered = _Connection.send


def _encode(kind: Any, value: Any) -> Iterator[bytes]:  # noqa: ANN401 - aiokafka's types of fields
    """Encode a value of one of aiokafka's types, in pieces."""
    if isinstance(kind, Schema):
        for field, one in zip(kind.fields, value, strict=True):
            yield from _encode(field, one)
    elif isinstance(kind, Array) and value is not None:
        yield Int32.encode(len(value))
        for one in value:
            yield from _encode(kind.array_of, one)
    elif kind is Bytes and isinstance(value, BatchBytes):
        yield Int32.encode(len(value))
        yield from value.pieces
    else:
        yield kind.encode(value)


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join neighbours that are short."""
    short: list[bytes] = []
    for piece in pieces:
        if len(piece) < LONG:
            short.append(piece)
            continue
        if short:
            yield b"".join(short)
            short = []
        yield piece
    if short:
        yield b"".join(short)
