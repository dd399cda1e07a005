"""Frames are received whole, however they come, and a long answer is not copied."""

from __future__ import annotations

import asyncio
import struct
import weakref
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import CorrelationIdError
from aiokafka.protocol.fetch import FetchRequest
from hypothesis import given
from hypothesis import strategies as st

from worker.kafka import frames
from worker.kafka.frames import SHORT, FrameProtocol, handle_frame, in_place, read_frames

LIMIT = 30
SIZES = st.lists(st.sampled_from([0, 1, 100, SHORT - 4, SHORT - 3, SHORT, 5 * SHORT]), max_size=8)


class Transport(asyncio.Transport):
    """Is only asked to close."""


def framed(*contents: bytes) -> bytes:
    return b"".join(struct.pack(">i", len(content)) + content for content in contents)


def protocol() -> FrameProtocol:
    loop = asyncio.get_running_loop()
    made = FrameProtocol(loop.create_future(), asyncio.StreamReader(loop=loop), loop=loop)
    made.connection_made(Transport())
    return made


def feed(to: FrameProtocol, data: bytes, most: int) -> None:
    while data:
        room = to.get_buffer(-1)
        count = min(len(room), len(data), most)
        assert count
        room[:count] = data[:count]
        to.buffer_updated(count)
        data = data[count:]


@given(SIZES, st.sampled_from([3, 1000, SHORT, 10**9]))
def test_frames_come_in_order_and_whole(sizes: list[int], most: int) -> None:
    contents = [bytes([number]) * size for number, size in enumerate(sizes)]

    async def receive() -> list[bytes]:
        receiver = protocol()
        feed(receiver, framed(*contents), most)
        async with asyncio.timeout(LIMIT):
            return [bytes(await receiver.next()) for _ in contents]

    assert asyncio.run(receive()) == contents


async def test_room_for_a_long_frame_is_made_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "TRUSTED", 2 * SHORT)
    receiver = protocol()
    content = bytes(range(256)) * (9 * SHORT // 256)
    feed(receiver, framed(content)[: 2 * SHORT], 10**9)
    assert len(receiver.get_buffer(-1)) < 2 * SHORT
    feed(receiver, framed(content)[2 * SHORT :], 1000)
    assert await receiver.next() == content


async def test_who_waits_is_woken() -> None:
    receiver = protocol()
    waiting = asyncio.create_task(receiver.next())
    await asyncio.sleep(0)
    feed(receiver, framed(b"answer"), 10**9)
    async with asyncio.timeout(LIMIT):
        assert await waiting == b"answer"


async def test_frames_that_came_before_the_end_are_had_first() -> None:
    receiver = protocol()
    feed(receiver, framed(b"last") + b"\0", 10**9)
    receiver.eof_received()
    receiver.connection_lost(OSError("later"))
    assert await receiver.next() == b"last"
    for _ in range(2):
        with pytest.raises(EOFError):
            await receiver.next()


async def test_a_connection_that_is_lost_says_why() -> None:
    receiver = protocol()
    waiting = asyncio.create_task(receiver.next())
    await asyncio.sleep(0)
    receiver.connection_lost(ConnectionResetError("gone"))
    async with asyncio.timeout(LIMIT):
        with pytest.raises(ConnectionResetError, match="gone"):
            await waiting


async def test_a_lost_connection_keeps_no_part_of_a_frame() -> None:
    receiver = protocol()
    feed(receiver, framed(bytes(9 * SHORT))[: 2 * SHORT], 10**9)
    receiver.connection_lost(None)
    assert len(receiver.get_buffer(-1)) <= SHORT


async def test_a_negative_length_ends_it() -> None:
    receiver = protocol()
    feed(receiver, struct.pack(">i", -2) + b"anything", 10**9)
    feed(receiver, framed(b"never read"), 10**9)
    with pytest.raises(ValueError, match="-2 bytes"):
        await receiver.next()


def fetch_answer(correlation_id: int, *batches: bytes) -> bytes:
    """An answer of version 1 to a fetch request: one topic, a partition for each of `batches`."""
    partitions = b"".join(
        struct.pack(">ihqi", number, 0, 100, len(batch)) + batch
        for number, batch in enumerate(batches)
    )
    topics = struct.pack(">ih1si", 1, 1, b"t", len(batches)) + partitions
    return struct.pack(">ii", correlation_id, 0) + topics


def asked(
    correlation_id: int = 7, *, stays: bool = True
) -> tuple[AIOKafkaConnection, asyncio.Future[Any]]:
    """A connection that waits for the answer to a fetch request."""
    connection = AIOKafkaConnection("127.0.0.1", 9092)
    asking = FetchRequest(500, 1, 10**6, 0, [("t", [(0, 0, 10**6)])])
    request = (in_place(asking) if stays else asking).prepare({1: (1, 1)})
    answer = asyncio.get_running_loop().create_future()
    connection._requests.append((correlation_id, request, answer))
    return connection, answer


def batches_in(answer: asyncio.Future[Any]) -> list[bytes | memoryview]:
    ((_, partitions),) = answer.result().topics
    return [fields[-1] for fields in partitions]


@pytest.mark.parametrize("kind", [bytes, bytearray])
async def test_an_answer_is_decoded_as_aiokafka_does_it(kind: type[bytes | bytearray]) -> None:
    connection, answer = asked()
    handle_frame(connection, kind(fetch_answer(7, b"a" * 50_000, b"", b"b" * 100)))
    assert [bytes(batch) for batch in batches_in(answer)] == [b"a" * 50_000, b"", b"b" * 100]
    assert not connection._requests


async def test_only_what_is_most_of_an_answer_keeps_it_in_memory() -> None:
    connection, answer = asked()
    handle_frame(connection, bytearray(fetch_answer(7, b"a" * 50_000, b"b" * 10_000)))
    assert [type(batch) for batch in batches_in(answer)] == [memoryview, bytes]


async def test_aiokafkas_own_fetcher_gets_bytes() -> None:
    connection, answer = asked(stays=False)
    handle_frame(connection, bytearray(fetch_answer(7, b"a" * 50_000)))
    assert [type(batch) for batch in batches_in(answer)] == [bytes]


@pytest.mark.parametrize("kind", [bytes, bytearray])
async def test_an_answer_to_another_request_is_refused(kind: type[bytes | bytearray]) -> None:
    connection, answer = asked(8)
    handle_frame(connection, kind(fetch_answer(7, b"a" * 50_000)))
    with pytest.raises(CorrelationIdError):
        await answer


async def test_nobody_waits_for_the_answer_any_more() -> None:
    connection, answer = asked()
    answer.cancel()
    handle_frame(connection, bytearray(fetch_answer(7, b"a" * 50_000)))
    assert not connection._requests


async def test_frames_reach_their_connection_as_long_as_there_is_one() -> None:
    connection, answer = asked()
    connection._protocol = receiver = protocol()
    reading = asyncio.create_task(read_frames(weakref.ref(connection)))
    await asyncio.sleep(0)
    feed(receiver, framed(fetch_answer(7, b"a" * 50_000)), 10**9)
    async with asyncio.timeout(LIMIT):
        await answer
        del connection
        feed(receiver, framed(b"nobody's"), 10**9)
        await reading


async def test_a_writer_can_wait() -> None:
    receiver = protocol()
    receiver.pause_writing()
    draining = asyncio.create_task(receiver._drain_helper())
    await asyncio.sleep(0)
    assert not draining.done()
    receiver.resume_writing()
    async with asyncio.timeout(LIMIT):
        await draining
