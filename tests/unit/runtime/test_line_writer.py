"""Lines are written in order and complete, and no caller waits for a reader that has stopped."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from worker.runtime.line_writer import LineWriter

BOUND = 60.0
Pipe = tuple[int, int]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine can hold up the writing thread for longer than a worker waits for it."""
    monkeypatch.setattr("worker.runtime.line_writer.PATIENCE", BOUND)


def notice(lines: int) -> str:
    return f"dropped {lines}\n"


def read_all(descriptor: int) -> list[bytes]:
    """All lines, until the last writer is gone."""
    chunks = []
    while chunk := os.read(descriptor, 1 << 16):
        chunks.append(chunk)
    return b"".join(chunks).splitlines()


def fill(descriptor: int) -> int:
    """Make a pipe as small as can be, and full; the bytes in it."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(descriptor, False)
    written = 0
    try:
        while True:
            written += os.write(descriptor, b"\n" * 1024)
    except BlockingIOError:
        os.set_blocking(descriptor, True)
        return written


def test_lines_come_in_their_order_and_complete(pipe: Pipe) -> None:
    source, sink = pipe
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.extend(read_all(source)))
    reader.start()
    writer = LineWriter(sink, notice)
    expected = [f"{number} {'x' * (number % 3000)}" for number in range(2000)]
    for line in expected:
        writer.put(f"{line}\n")
    assert writer.flush(BOUND)
    os.close(sink)
    reader.join(BOUND)
    assert [line.decode() for line in lines] == expected
    assert writer.dropped == 0


def test_lines_of_one_thread_keep_their_order_among_those_of_others(pipe: Pipe) -> None:
    source, sink = pipe
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.extend(read_all(source)))
    reader.start()
    writer = LineWriter(sink, notice)

    def put(name: str) -> None:
        for number in range(500):
            writer.put(f"{name} {number}\n")

    threads = [threading.Thread(target=put, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    assert writer.flush(BOUND)
    os.close(sink)
    reader.join(BOUND)
    for name in "abcd":
        own = [line.split()[1] for line in lines if line.startswith(name.encode())]
        assert own == [str(number).encode() for number in range(500)]


def test_a_full_pipe_costs_lines_and_a_notice_stands_in_their_place(pipe: Pipe) -> None:
    source, sink = pipe
    blank = fill(sink)
    told: list[int] = []
    writer = LineWriter(sink, notice, limit=1000)
    writer.on_drop = told.append
    for number in range(200):
        # Nobody reads: were this to wait, it would be forever.
        writer.put(f"line {number:04}\n")
    assert writer.dropped == sum(told) > 0
    kept = 200 - writer.dropped
    assert kept * 10 <= 1000
    assert not writer.flush(0.01)
    os.read(source, blank)
    assert writer.flush(BOUND)
    writer.put("afterwards\n")
    assert writer.flush(BOUND)
    os.close(sink)
    lines = [line for line in read_all(source) if line]
    assert lines == [
        *(f"line {number:04}".encode() for number in range(kept)),
        f"dropped {200 - kept}".encode(),
        b"afterwards",
    ]


def test_a_pipe_whose_reader_is_gone_costs_lines_alone(pipe: Pipe) -> None:
    source, sink = pipe
    os.close(source)
    writer = LineWriter(sink, notice)
    for _ in range(3):
        writer.put("nobody\n")
        assert writer.flush(BOUND)
    assert writer.dropped >= 3


def test_a_reader_that_comes_back_learns_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    source = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = os.open(path, os.O_WRONLY)
    try:
        os.close(source)
        writer = LineWriter(sink, notice)
        writer.put("lost\n")
        assert writer.flush(BOUND)
        source = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writer.put("seen\n")
        assert writer.flush(BOUND)
        assert os.read(source, 100) == b"dropped 1\nseen\n"
    finally:
        os.close(source)
        os.close(sink)


def test_a_descriptor_that_never_blocks_is_waited_for(pipe: Pipe) -> None:
    source, sink = pipe
    os.set_blocking(sink, False)
    lines: list[bytes] = []
    writer = LineWriter(sink, notice)
    expected = [b"x" * 5000] * 100
    for line in expected:
        writer.put(f"{line.decode()}\n")
    reader = threading.Thread(target=lambda: lines.extend(read_all(source)))
    reader.start()
    assert writer.flush(BOUND)
    os.close(sink)
    reader.join(BOUND)
    assert lines == expected


@pytest.mark.parametrize("text", ["\ud800", "ü", "日本"])
def test_any_text_is_written(pipe: Pipe, text: str) -> None:
    source, sink = pipe
    writer = LineWriter(sink, notice)
    writer.put(f"{text}\n")
    assert writer.flush(BOUND)
    assert os.read(source, 100) == f"{text}\n".encode(errors="backslashreplace")


def test_one_line_beyond_the_limit_is_no_reason_to_drop_it(pipe: Pipe) -> None:
    source, sink = pipe
    writer = LineWriter(sink, notice, limit=10)
    writer.put(f"{'x' * 100}\n")
    assert writer.flush(BOUND)
    assert len(os.read(source, 1000)) == 101
