"""Standard descriptors: opened where they were closed, and kept for results and log lines."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from itertools import chain, combinations

import pytest

Start = Callable[..., "subprocess.Popen[bytes]"]

BOUND = 120.0

CLOSED = list(chain.from_iterable(combinations((0, 1, 2), count) for count in (1, 2, 3)))

OPENED = """
import json, os, sys
for descriptor in json.loads(sys.argv[1]):
    os.close(descriptor)
report = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
if report < 3:
    report, taken = os.dup2(report, 9), report
    os.close(taken)
for name in ("stdin", "stdout", "stderr"):
    if ("stdin", "stdout", "stderr").index(name) in json.loads(sys.argv[1]):
        setattr(sys, name, None)
from worker.runtime.descriptors import open_missing
open_missing()
print("printed", flush=True)
print("complained", file=sys.stderr, flush=True)
read = sys.stdin.read()
found = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)]
os.write(report, json.dumps([read, found]).encode())
"""


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_descriptors_are_opened_on_nothing(
    closed: tuple[int, ...], tmp_path: os.PathLike[str]
) -> None:
    report = os.path.join(tmp_path, "report")  # noqa: PTH118 - for another process
    done = subprocess.run(
        [sys.executable, "-c", OPENED, json.dumps(closed), report],
        input=b"given",
        capture_output=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with open(report, "rb") as file:  # noqa: PTH123
        read, found = json.load(file)
    assert read == ("" if 0 in closed else "given")
    assert done.stdout == (b"" if 1 in closed else b"printed\n")
    assert done.stderr == (b"" if 2 in closed else b"complained\n")
    assert [found[fd] for fd in closed] == [os.devnull] * len(closed)


OWN = """
import os, subprocess, sys
from worker.runtime import descriptors, line_writer
from worker.runtime.descriptors import OwnStreams

# A busy machine can hold up threads for longer than a worker waits for them.
descriptors.LAST_WORDS = line_writer.PATIENCE = 20.0

with OwnStreams():
    from worker.logs import configure
    from worker.settings import LogSettings

    configure(LogSettings(level="info"))
    sys.stdout.write("result\\n")
    os.write(1, b"chatter\\n")
    os.write(2, b"trouble\\n")
    subprocess.run([sys.executable, "-c", "print('child')"], check=True)
    sys.stderr.write("for people\\n")
    {body}
os.write(1, b"at the end\\n")
"""


def run(program: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", program], timeout=BOUND, check=False, **options
    )


def test_results_alone_are_on_standard_output() -> None:
    done = run(OWN.format(body=""), capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"result\n")
    lines = done.stderr.splitlines()
    # Log lines have a thread of their own, and may come after what is written at the end.
    for plain in (b"for people", b"at the end"):
        assert lines.count(plain) == 1
        lines.remove(plain)
    found = [(line["level"], line["message"]) for line in map(json.loads, lines)]
    assert sorted(found) == [("info", "chatter"), ("info", "child"), ("warning", "trouble")]


def test_native_code_that_writes_much_while_it_holds_the_lock_stops_nothing() -> None:
    # `PyDLL` keeps the interpreter's lock in a call, so that nobody can read meanwhile.
    body = "import ctypes; ctypes.PyDLL(None).write(1, b'chatter 2\\n' * 400_000, 4_000_000)"
    done = run(OWN.format(body=body), capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"result\n")
    assert b'"message":"chatter 2"' in done.stderr


def test_a_trace_of_the_interpreter_is_not_lost() -> None:
    done = run(OWN.format(body="raise ValueError('defect')"), capture_output=True)
    assert (done.returncode, done.stdout) == (1, b"result\n")
    assert b"Traceback (most recent call last):" in done.stderr
    assert b"ValueError: defect" in done.stderr


def test_native_code_that_keeps_the_reader_from_reading_has_room_to_write() -> None:
    # Functions of a PyDLL hold the GIL.
    said = "import ctypes; text = b'words ' * 100_000; ctypes.PyDLL(None).write(2, text, len(text))"
    done = run(OWN.format(body=said), capture_output=True)
    assert done.returncode == 0
    assert b"words words" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_says_where(number: signal.Signals) -> None:
    done = run(OWN.format(body=f"os.kill(os.getpid(), {number:d})"), capture_output=True)
    assert done.returncode == -number
    assert b"Fatal Python error: " in done.stderr
    assert b'File "<string>", line' in done.stderr


def test_a_crash_does_not_wait_for_a_reader_that_has_stopped(start: Start) -> None:
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    try:
        while True:
            os.write(sink, b"\n" * 1024)
    except BlockingIOError:
        os.set_blocking(sink, True)
    crash = OWN.replace('sys.stderr.write("for people\\n")', "").format(
        body="os.kill(os.getpid(), 11)"
    )
    process = start(crash, stdout=subprocess.DEVNULL, stderr=sink)
    os.close(sink)
    assert process.wait(BOUND) == -signal.SIGSEGV
    os.close(source)


def test_a_terminal_stays_one(start: Start) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 123, 0, 0))
    program = OWN.format(
        body="from rich.console import Console; import shutil; "
        "print(Console().is_terminal, Console(stderr=True).is_terminal, Console().width, "
        "shutil.get_terminal_size().columns)"
    )
    environ = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = start(program, stdout=theirs, stderr=theirs, env=environ | {"TERM": "xterm"})
    os.close(theirs)
    shown = b""
    while b"True" not in shown:
        shown += os.read(ours, 4096)
    assert process.wait(BOUND) == 0
    os.close(ours)
    assert b"True True 123 123" in shown
