"""Lines of a head that say the same twice, in every way that heads arrive."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.budget import Reservation
from worker.contract.jobs import Job, Outcome
from worker.health import Health
from worker.http.classify import Classify
from worker.http.heads import FOLDED, Head
from worker.http.server import HttpServer
from worker.metrics import Metrics
from worker.settings import HttpSettings

REQUEST = b"POST /x HTTP/1.1\r\n"


def fed(*pieces: bytes) -> tuple[bytes, bytes]:
    """What a head passes on, and what is left."""
    head, passed, rest = Head(), b"", b""
    for piece in pieces:
        assert not head.ended
        taken, rest = head.feed(piece)
        passed += taken
    return passed, rest


def drops(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(
    "name", ["Content-Type", "User-Agent", "Host", "ETag", "Server", "Max-Forwards"]
)
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_line_that_repeats_another_is_left_out(name: str, size: int) -> None:
    line = f"{name}: a/b; c=d\r\n".encode()
    again = f"{name.lower()}:a/b; c=d \r\n".encode()
    lines = [REQUEST, b"Accept: */*\r\n", line, b"X: y\r\n", again, again, b"\r\n"]

    passed, rest = fed(*drops(b"".join(lines), size))

    assert passed == REQUEST + b"Accept: */*\r\n" + line + b"X: y\r\n\r\n"
    assert rest == b""


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Type: a\r\nContent-Type: b\r\n",
        b"Content-Type: a\r\nContent-Type: A\r\n",
        b"Content-Type: a\r\nContent-Type : a\r\n",
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n",
        # What goes on in the next line is not what it seems.
        b"Host: a\r\nHost: a\r\n b\r\n",
        b"Host: a\r\nHost: a\r\n\tb\r\n",
        b"no colon\r\nno colon\r\n",
        b"X: " + b"a" * 9000 + b"\r\n",
        b"Host: " + b"a" * 9000 + b"\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 5, 100_000])
def test_everything_else_is_passed_on_as_it_came(lines: bytes, size: int) -> None:
    data = b"\r\n" + REQUEST + lines + b"\r\n"
    assert fed(*drops(data, size)) == (data, b"")


LINES = [
    b"Host: a",
    b"host:a",
    b"Host: b",
    b"Host : a",
    b" Host: a",
    b"Accept: */*",
    b"Accept: */*",
    b"Transfer-Encoding: chunked",
    b" transfer-encoding: chunked",
    b"X: transfer-encoding",
    b"no colon",
    b"",
]


@given(
    st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from([b"\r\n", b"\n"])), max_size=5),
    st.sampled_from([b"", b"\r\n", b"\n"]),
)
def test_a_head_that_comes_whole_is_read_as_one_that_comes_line_by_line(
    lines: list[tuple[bytes, bytes]], before: bytes
) -> None:
    data = before + REQUEST + b"".join(map(b"".join, lines)) + b"\r\nHost: a\r\nHost: a\r\n"
    whole, by_line = Head(), Head()
    taken, rest = whole.feed(data)
    left, passed = data.splitlines(keepends=True), b""
    while not by_line.ended:
        passed += by_line.feed(left.pop(0))[0]
    assert (taken, rest) == (passed, b"".join(left))
    assert whole.ended
    assert whole.in_chunks is by_line.in_chunks


@pytest.mark.parametrize("size", [1, 3])
def test_a_head_of_lines_that_all_come_in_pieces_has_an_end(size: int) -> None:
    data = b"GET /livez HTTP/1.0\r\nAccept: */*\r\n\r\n"
    head = Head()
    for piece in drops(data, size):
        head.feed(piece)
    assert head.ended


def test_of_three_that_differ_none_is_left_out_but_the_second_of_two_alike() -> None:
    lines = b"Host: a\r\nHost: b\r\nHost: a\r\n\r\n"
    assert fed(REQUEST + lines)[0] == REQUEST + lines
    assert fed(REQUEST + b"Host: a\r\nHost: a\r\nHost: b\r\n\r\n")[0].count(b"Host") == 2


def test_what_cannot_be_left_out_is_passed_on_at_once() -> None:
    head = Head()
    for piece in (b"\x16\x03\x01\x02", b"GET /", b" HTTP/1.1\r\nX-Slow: a", b"b\r", b"\nAccep"):
        assert head.feed(piece) == (piece, b"")
    assert Head().feed(b"GET / HTTP/1.1\r\nHos") == (b"GET / HTTP/1.1\r\n", b"")


def test_a_body_is_not_looked_at() -> None:
    body = b"Host: a\r\nHost: a\r\n\r\n"
    assert fed(REQUEST + b"Host: a\r\n\r\n" + body) == (REQUEST + b"Host: a\r\n\r\n", body)


TWICE = b"Host: a\r\nUser-Agent: u\r\nHost: a\r\nUser-Agent: u\r\n"
POST = b"POST /image-classification HTTP/1.1\r\n" + TWICE
BODY = b"Host: a\r\nHost: a\r\n"
GET = b"GET /livez HTTP/1.1\r\n" + TWICE + b"\r\n"
WITH_LENGTH = POST + b"Content-Length: 18\r\n\r\n" + BODY
IN_CHUNKS = POST + b"Transfer-Encoding: chunked\r\n\r\n12\r\n" + BODY + b"\r\n0\r\n\r\n"
KINDS = [GET, WITH_LENGTH, IN_CHUNKS]


async def never_asked(job: Job, held: Reservation) -> Outcome:
    raise AssertionError(job)


@pytest.fixture
async def connection() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server that finds no job in any body."""
    metrics, settings = Metrics(), HttpSettings(host="127.0.0.1", port=0)
    classify = Classify(settings, 1 << 20, metrics)
    classify.open(never_asked)
    server = HttpServer(settings, Health(10.0, metrics), metrics, classify)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    yield reader, writer
    writer.close()
    await server.stop()


async def answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Status and body of the next answer."""
    async with asyncio.timeout(30):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r")[0])
        return int(head.split()[1]), (await reader.readexactly(length)).decode()


@pytest.mark.parametrize("size", [3, 40, 10_000])
@pytest.mark.parametrize("requests", list(itertools.product(KINDS, repeat=3)))
async def test_one_request_after_the_other(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    requests: tuple[bytes, ...],
    size: int,
) -> None:
    reader, writer = connection
    for request in requests:
        for piece in drops(request, size):
            writer.write(piece)
            await asyncio.sleep(0)
        status, said = await answer(reader)
        if request is GET:
            assert (status, said) == (200, "ok\n")
        else:
            # The body has come as it was sent.
            assert status == 400
            assert "is not JSON" in said


@pytest.mark.parametrize("requests", list(itertools.product([GET, WITH_LENGTH], repeat=3)))
async def test_requests_that_come_at_once(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], requests: tuple[bytes, ...]
) -> None:
    reader, writer = connection
    writer.write(b"".join(requests))

    statuses = [(await answer(reader))[0] for _ in requests]

    assert statuses == [200 if request is GET else 400 for request in requests]


@pytest.mark.parametrize("name", [one.decode() for one in FOLDED])
async def test_every_header_of_which_one_is_accepted(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], name: str
) -> None:
    reader, writer = connection
    host = "" if name == "host" else "Host: a\r\n"
    for value, expected in (("a", 200), ("b", 400)):
        lines = f"GET /livez HTTP/1.1\r\n{host}{name}: a\r\n{name}: {value}\r\n\r\n"
        writer.write(lines.encode())
        assert (await answer(reader))[0] == expected


async def test_two_that_differ_are_refused(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    reader, writer = connection
    writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")

    status, said = await answer(reader)

    assert status == 400
    assert "Duplicate 'Host'" in said
