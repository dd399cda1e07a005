"""Signals and the deadline, where the main thread is held up in every way."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

Start = Callable[..., "subprocess.Popen[bytes]"]

DEADLINE = 0.5
BOUND = 60.0

PROGRAM = f"""
import atexit, os, signal, sys, time
import worker.runtime.signals
from worker.runtime.signals import StopSignals, Watchdog

worker.runtime.signals.GRACE = {{grace}}
signals = StopSignals()
watchdog = Watchdog(lambda: os._exit(3))
heard = lambda number: (print(number.name, flush=True), watchdog.arm({DEADLINE}))
signals.handler = heard
print("up", flush=True)
{{held_up}}
"""

HELD_UP = {
    "in a computation": "while True: pass",
    "in a system call": "time.sleep(3600)",
    "in a read": "os.read(0, 1)",
    "in a lock": "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "at the interpreter's end": "atexit.register(lambda: time.sleep(3600))",
}


@pytest.mark.parametrize("held_up", HELD_UP.values(), ids=HELD_UP.keys())
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_process_that_is_held_up_ends_in_time(
    start: Start, held_up: str, number: signal.Signals
) -> None:
    # The thread alone is tried, however long it has to wait for a processor.
    process = start(PROGRAM.format(held_up=held_up, grace=3600))
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(BOUND) == 3
    assert time.monotonic() - began >= DEADLINE
    assert process.stdout.read().decode().split() == [number.name]


def test_where_no_thread_runs_any_more_the_kernel_ends_it(start: Start) -> None:
    # A library that holds the GIL forever, from just after the signal on.
    held_up = (
        "import ctypes; watchdog.arm(0.1); "
        "ctypes.PyDLL(None).pause() if os.read(0, 0) == b'' else None"
    )
    process = start(PROGRAM.format(held_up=held_up, grace=0.1))
    assert process.wait(BOUND) == -signal.SIGALRM


def test_until_somebody_handles_them_signals_end_it_in_order(start: Start) -> None:
    process = start(
        PROGRAM.replace("signals.handler = heard\n", "").format(held_up="input()", grace=3600)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(BOUND) == 0


HEEDS_HANGUPS = """
import os, sys
if len(sys.argv) > 1:
    os.open(sys.argv[1], os.O_RDWR)  # of a session's leader it becomes the terminal
from worker.runtime.signals import StopSignals
signals = StopSignals()
signals.handler = lambda number: (print(number.name, flush=True), os._exit(3))
signals.on_hangup = lambda: print("hung up", flush=True)
print("up", flush=True)
os.read(0, 1)
"""


def test_a_hangup_without_a_terminal_is_a_request(start: Start) -> None:
    process = start(HEEDS_HANGUPS, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    for _ in range(2):
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline() == b"hung up\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(BOUND) == 3
    assert process.stdout.read() == b"SIGTERM\n"


def test_a_hangup_stops_it_only_if_its_terminal_has_gone(start: Start) -> None:
    end, side = pty.openpty()
    try:
        process = start(HEEDS_HANGUPS, os.ttyname(side), start_new_session=True)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline() == b"hung up\n", "the terminal is still there"
    finally:
        os.close(side)
        os.close(end)
    assert process.wait(BOUND) == 3
    assert process.stdout.read() == b"SIGHUP\n"


def test_a_hangup_that_is_ignored_stays_ignored(start: Start) -> None:
    # As under `nohup`.
    program = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + PROGRAM
    process = start(program.format(held_up="input()", grace=3600))
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(BOUND) == 3
    assert process.stdout.read().decode().split() == ["SIGTERM"]
