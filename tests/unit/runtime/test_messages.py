"""Messages between processes are plain values, within bounds, whatever the other side sends."""

from __future__ import annotations

import fcntl
import math
import os
import pickle  # noqa: TID251 - of our own making
import resource
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from worker.runtime.messages import (
    MAX_BYTES,
    BadMessageError,
    Channel,
    integer_in,
    number_in,
    text_in,
)

BOUND = 60.0

Pair = tuple[Channel, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A channel, and the bare socket of the other side."""
    ours, theirs = socket.socketpair()
    with Channel(ours) as channel, theirs:
        yield channel, theirs


def framed(text: bytes) -> bytes:
    return struct.pack("!I", len(text)) + text


class Trap:
    """What a pickle does when it is loaded: here it would leave a directory behind."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.path,)


def test_a_message_arrives_as_it_was_sent() -> None:
    ours, theirs = socket.socketpair()
    # A path that is no UTF-8, as Python holds it.
    message = {"path": os.fsdecode(b"/m\xffdel"), "count": 3, "mean": [0.5, 1e-300], "crop": None}
    with Channel(ours) as sender, Channel(theirs.detach()) as receiver:
        sender.send(message)
        sender.send({})
        assert receiver.receive(BOUND) == message
        assert receiver.receive() == {}


def fill(channel: Channel) -> None:
    """Say what nobody reads, until there is no more room for it."""
    while channel.send_at_once({"count": 1}):
        pass


def test_a_message_may_come_byte_by_byte(pair: Pair) -> None:
    channel, theirs = pair

    def trickle() -> None:
        for byte in framed(b'{"count": 12}'):
            theirs.send(bytes([byte]))

    writer = threading.Thread(target=trickle)
    writer.start()
    assert channel.receive(BOUND) == {"count": 12}
    writer.join()


def test_a_descriptor_that_does_not_block_is_waited_for_all_the_same() -> None:
    """Programs that set a default time-out have such sockets, and pass them to their children."""
    ours, theirs = socket.socketpair()
    os.set_blocking(theirs.fileno(), False)
    with ours, Channel(theirs.detach()) as channel:
        assert os.get_blocking(channel.fileno())


def test_what_is_looked_at_without_waiting_is_received_afterwards(pair: Pair) -> None:
    channel, theirs = pair
    assert channel.peek() is None
    whole = framed(b'{"count": 1}')
    theirs.sendall(whole[:7])
    assert channel.peek() is None, "it is not whole"
    assert channel.unread
    theirs.sendall(whole[7:] + framed(b'{"count": 2}'))
    assert channel.peek() == channel.peek() == {"count": 1}
    assert channel.receive(BOUND) == {"count": 1}
    assert channel.unread, "another message is here"
    assert channel.receive(BOUND) == {"count": 2}
    assert not channel.unread


@pytest.mark.parametrize("at_once", [Channel.peek, fill])
def test_nothing_waits_as_long_as_what_came_before_might_have_waited(
    pair: Pair, at_once: Callable[[Channel], object]
) -> None:
    channel, theirs = pair
    channel.send({"count": 1}, 3 * BOUND)
    theirs.sendall(framed(b'{"count": 1}'))
    channel.receive(3 * BOUND)
    thread = threading.Thread(target=at_once, args=(channel,), daemon=True)
    thread.start()
    thread.join(BOUND)
    assert not thread.is_alive()


def test_a_descriptor_may_have_any_number(pair: Pair) -> None:
    channel, theirs = pair
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with Channel(fcntl.fcntl(channel.fileno(), fcntl.F_DUPFD_CLOEXEC, 1024)) as high:
            assert not high.heard(0)
            theirs.sendall(framed(b"{}"))
            assert high.heard(BOUND)
            assert high.receive(BOUND) == {}
            theirs.close()
            assert high.heard(BOUND), "it is gone"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("text", [b"[]", b"{"])
def test_an_error_is_for_who_receives(pair: Pair, text: bytes) -> None:
    channel, theirs = pair
    theirs.sendall(framed(text))
    assert channel.peek() is None
    with pytest.raises(BadMessageError):
        channel.receive(BOUND)


def test_the_end_is_for_who_receives(pair: Pair) -> None:
    channel, theirs = pair
    theirs.close()
    assert channel.peek() is None
    assert not channel.send_at_once({"count": 1})
    with pytest.raises(EOFError):
        channel.receive(BOUND)


def test_a_message_is_sent_at_once_or_not_at_all_waited_for() -> None:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with Channel(ours) as channel, Channel(theirs) as other:
        assert channel.send_at_once({"count": 1})
        assert other.receive(BOUND) == {"count": 1}
        assert not channel.send_at_once({"text": "x" * (MAX_BYTES - 100)})


def test_a_pickle_is_no_message_and_is_not_run(pair: Pair, tmp_path: os.PathLike[str]) -> None:
    channel, theirs = pair
    trap = os.path.join(tmp_path, "trap")  # noqa: PTH118 - os.mkdir's argument is text
    theirs.sendall(framed(pickle.dumps(Trap(trap))))
    with pytest.raises(BadMessageError, match="not JSON"):
        channel.receive(BOUND)
    assert not os.path.exists(trap)  # noqa: PTH110


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1]",
        b"null",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"\xff\xfe\xfa",
        b"[" * 100_000,
        b'{"a":' * 40_000,
    ],
)
def test_what_is_no_json_object_is_refused(pair: Pair, text: bytes) -> None:
    channel, theirs = pair
    theirs.sendall(framed(text))
    with pytest.raises(BadMessageError):
        channel.receive(BOUND)


def test_a_length_beyond_the_bound_is_refused_before_anything_is_read(pair: Pair) -> None:
    channel, theirs = pair
    theirs.sendall(struct.pack("!I", MAX_BYTES + 1))
    with pytest.raises(BadMessageError, match=f"{MAX_BYTES + 1} bytes"):
        channel.receive(BOUND)


def test_a_message_that_is_too_large_or_not_finite_is_not_sent(pair: Pair) -> None:
    channel, theirs = pair
    for message in ({"text": "x" * MAX_BYTES}, {"number": math.nan}):
        with pytest.raises(ValueError):  # noqa: PT011 - the one's message is the library's
            channel.send(message)
    channel.send({})
    assert theirs.recv(100) == framed(b"{}")


@pytest.mark.parametrize("begun", [b"", b"\x00\x00", framed(b'{"count": 1}')[:-1]])
def test_a_message_that_is_not_whole_in_time_is_not_waited_for(pair: Pair, begun: bytes) -> None:
    channel, theirs = pair
    theirs.sendall(begun)
    with pytest.raises(TimeoutError):
        channel.receive(0.01)


@pytest.mark.parametrize("begun", [b"", b"\x00\x00", framed(b'{"count": 1}')[:-1]])
def test_the_end_of_the_other_side_is_the_end_of_the_stream(pair: Pair, begun: bytes) -> None:
    channel, theirs = pair
    theirs.sendall(begun)
    theirs.close()
    with pytest.raises(EOFError):
        channel.receive(BOUND)
    with pytest.raises(EOFError):
        channel.send({"count": 1})


def test_a_side_that_does_not_read_does_not_hold_up_the_other() -> None:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with Channel(ours) as channel, theirs, pytest.raises(TimeoutError):
        channel.send({"text": "x" * (MAX_BYTES - 100)}, 0.01)


@pytest.mark.parametrize("value", [None, True, "1", 1.0, -1, 8, [1]])
def test_an_integer_is_one_within_its_bounds(value: object) -> None:
    assert integer_in({"count": 7}, "count", 0, 7) == 7
    with pytest.raises(BadMessageError, match="count is not a whole number from 0 to 7"):
        integer_in({"count": value}, "count", 0, 7)


@pytest.mark.parametrize("value", [None, True, "1", -0.5, math.inf, math.nan, 10**400, {}])
def test_a_number_is_finite_and_not_negative(value: object) -> None:
    assert number_in({"seconds": 2}, "seconds") == 2.0
    with pytest.raises(BadMessageError, match="seconds is not a"):
        number_in({"seconds": value}, "seconds")


@pytest.mark.parametrize("value", [None, 1, ["a"], {}])
def test_text_is_text(value: object) -> None:
    assert text_in({"why": "so"}, "why") == "so"
    with pytest.raises(BadMessageError, match="why is not text"):
        text_in({"why": value}, "why")
