"""What is written in pieces is byte for byte what aiokafka writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import pairwise
from typing import Any, cast

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest
from hypothesis import given
from hypothesis import strategies as st

from worker.kafka.gathered_requests import LONG, BatchBytes, send_gathered

aiokafka_send = AIOKafkaConnection.send
pieces = st.lists(st.sampled_from([b"", b"a", b"b" * 100, b"c" * LONG, b"d" * 3 * LONG]))
Topics = list[tuple[str, list[tuple[int, Any]]]]


class Writer:
    """Keeps what is written."""

    def __init__(self, *, closing: bool = False) -> None:
        self.written: list[bytes] = []
        self._closing = closing

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, data: Iterable[bytes]) -> None:
        self.written.extend(data)


async def written(send: Callable[..., Awaitable[Any]], request: object) -> list[bytes]:
    """What a connection writes that sends a request, which is answered."""
    connection = AIOKafkaConnection("127.0.0.1", 9092, client_id="c")
    writer = Writer()
    connection._writer = cast("Any", writer)
    connection._versions = {ProduceRequest.API_KEY: (3, 7), MetadataRequest.API_KEY: (0, 1)}
    waiting = send(connection, request)
    ((_, _, answer),) = connection._requests
    answer.set_result("answer")
    assert await waiting == "answer"
    connection._writer = None
    return writer.written


def produce(topics: Topics) -> ProduceRequest:
    return ProduceRequest(None, -1, 1000, topics)


@given(pieces)
def test_a_batch_is_its_pieces(given_pieces: list[bytes]) -> None:
    batch = BatchBytes(given_pieces)
    assert bytes(batch) == b"".join(given_pieces)
    assert len(batch) == len(bytes(batch))
    assert not any(len(a) < LONG and len(b) < LONG for a, b in pairwise(batch.pieces))


@given(st.lists(st.lists(pieces, max_size=3), max_size=3))
def test_it_is_what_aiokafka_writes(batches: list[list[list[bytes]]]) -> None:
    async def send() -> tuple[list[bytes], list[bytes]]:
        ours, theirs = (
            produce(
                [
                    (f"t{number}", [(at, made(each)) for at, each in enumerate(partitions)])
                    for number, partitions in enumerate(batches)
                ]
            )
            for made in (BatchBytes, b"".join)
        )
        return await written(send_gathered, ours), await written(aiokafka_send, theirs)

    ours, theirs = asyncio.run(send())
    assert b"".join(ours) == b"".join(theirs)


async def test_what_is_long_is_not_copied() -> None:
    value = bytes(10 * LONG)
    request = produce([("t", [(0, BatchBytes((b"a", value, b"b")))])])
    assert any(piece is value for piece in await written(send_gathered, request))


@pytest.mark.parametrize("batch", [b"", b"bytes of aiokafka's own builder" * 1000])
async def test_batches_of_aiokafkas_own_are_sent_too(batch: bytes) -> None:
    request = produce([("t", [(0, batch)])])
    ours, theirs = await written(send_gathered, request), await written(aiokafka_send, request)
    assert b"".join(ours) == b"".join(theirs)


async def test_other_requests_are_left_to_aiokafka() -> None:
    request = MetadataRequest(["t"])
    assert await written(send_gathered, request) == await written(aiokafka_send, request)


async def test_without_a_connection_nothing_is_sent() -> None:
    connection = AIOKafkaConnection("127.0.0.1", 9092)
    with pytest.raises(KafkaConnectionError, match="No connection"):
        send_gathered(connection, produce([]))


async def test_nothing_is_written_to_a_transport_that_closes() -> None:
    connection = AIOKafkaConnection("127.0.0.1", 9092)
    writer = Writer(closing=True)
    connection._writer = cast("Any", writer)
    connection._versions = {ProduceRequest.API_KEY: (3, 7)}
    with pytest.raises(ConnectionResetError, match="closing"):
        send_gathered(connection, produce([("t", [(0, BatchBytes([bytes(LONG)]))])]))
    assert not writer.written
    assert not connection._requests
