"""What native code and children write becomes log records: line by line, bounded, and printable."""

from __future__ import annotations

import logging
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.clock import Clock
from worker.runtime.native_output import (
    BURST,
    MAX_LINE,
    RATE,
    LineSplitter,
    NativeOutput,
    RateLimit,
)

BOUND = 20.0


def split(chunks: list[bytes]) -> list[str]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.end()


@given(st.lists(st.binary(max_size=20)))
def test_how_it_is_cut_into_chunks_does_not_matter(chunks: list[bytes]) -> None:
    assert split(chunks) == split([b"".join(chunks)])


def test_lines_are_text_without_their_ends() -> None:
    assert split([b"one\ntw", b"o\r\n\n  \nlast"]) == ["one", "two", "last"]


def test_a_line_without_end_is_cut_and_takes_no_memory() -> None:
    splitter = LineSplitter()
    lines = [line for _ in range(1000) for line in splitter.feed(b"x" * 1000)]
    assert lines == ["x" * MAX_LINE + "…"]
    assert len(splitter._held) <= MAX_LINE
    assert splitter.feed(b"rest\nnext\n") == ["next"]


def test_what_could_steer_a_terminal_is_replaced() -> None:
    assert split([b"\x1b[2J red\t\xff\n"]) == ["\ufffd[2J red    \ufffd"]


def test_so_many_at_once_and_so_many_a_second() -> None:
    now = 0.0
    limit = RateLimit(Clock(lambda: now))
    assert sum(limit.admit() for _ in range(2 * BURST)) == BURST
    now = 10.0
    assert sum(limit.admit() for _ in range(2 * BURST)) == 10 * RATE
    now = 1e6
    assert sum(limit.admit() for _ in range(2 * BURST)) == BURST


def test_lines_become_records_of_their_level_with_facts(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "native")
    printed, complained = pipe[0], os.pipe()
    output = NativeOutput(
        "native.test", {printed: logging.INFO, complained[0]: logging.WARNING}, {"pid": 7}
    )
    os.write(pipe[1], b"chatter 100 %s\n")
    os.close(pipe[1])
    os.write(complained[1], b"trouble, unfinished")
    os.close(complained[1])
    output.join(BOUND)
    assert {(r.levelname, r.getMessage(), r.name, vars(r)["pid"]) for r in caplog.records} == {
        ("INFO", "chatter 100 %s", "native.test", 7),
        ("WARNING", "trouble, unfinished", "native.test", 7),
    }
    for descriptor in (printed, complained[0]):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_a_flood_is_counted_instead_of_logged(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    output = NativeOutput("native.test", {pipe[0]: logging.WARNING})
    os.write(pipe[1], b"w\n" * (BURST + 1000))
    os.close(pipe[1])
    output.join(BOUND)
    messages = [record.getMessage() for record in caplog.records]
    shown, left_out = messages.count("w"), [m for m in messages if m != "w"]
    assert shown >= BURST
    told = sum(int(message.strip("[").split()[0]) for message in left_out)
    assert shown + told == BURST + 1000


def test_what_is_below_the_level_uses_up_no_room(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "native")
    complained = os.pipe()
    output = NativeOutput("native.test", {pipe[0]: logging.INFO, complained[0]: logging.WARNING})
    os.write(pipe[1], b"chatter\n" * (2 * BURST))
    os.close(pipe[1])
    os.write(complained[1], b"trouble\n" * BURST)
    os.close(complained[1])
    output.join(BOUND)
    assert [record.getMessage() for record in caplog.records] == ["trouble"] * BURST
