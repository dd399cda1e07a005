"""A worker whose event loop is held up ends in time all the same, and its predictors with it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

DEADLINE = 1.0
NEVER = 3600.0
BOUND = 60.0

PROGRAM = f"""
from worker.runtime.signals import StopSignals

signals = StopSignals()

import asyncio, subprocess, sys, time
import worker.app.stopping
import worker.runtime.signals
from worker.app.stopping import Stopper
from worker.logs import configure
from worker.settings import LogSettings

# The watchdog's thread alone is tried here, however long it has to wait for a processor.
worker.runtime.signals.GRACE = {NEVER}
worker.app.stopping.ECHO = {{echo}}
configure(LogSettings())
predictor = subprocess.Popen(["sleep", "120"])

def begin(number):
    print("begun", number.name, flush=True)

async def work():
    loop = asyncio.get_running_loop()
    stopper = Stopper(begin, loop, {{deadline}}, lambda: [predictor.pid], lambda: {{stopped}})
    signals.handler = stopper.hear
    print("up", flush=True)
    {{body}}

asyncio.run(work())
"""


def ended(
    body: str,
    *numbers: signal.Signals,
    stopped: bool = False,
    deadline: float = DEADLINE,
    echo: float = 0.0,
) -> tuple[int, float, str]:
    """Exit status, seconds from the first signal on, and what was printed after it."""
    program = PROGRAM.format(body=body, stopped=stopped, deadline=deadline, echo=echo)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        watch = threading.Timer(BOUND, process.kill)
        watch.start()
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        began = time.monotonic()
        process.send_signal(numbers[0])
        for number in numbers[1:]:
            # Two that are sent at once may be one.
            process.stdout.readline()
            process.send_signal(number)
        status = process.wait()
        seconds = time.monotonic() - began
        assert process.stderr is not None
        # Comes to its end when the predictor has, which holds the pipe too.
        said = process.stdout.read() + process.stderr.read()
        watch.cancel()
        return status, seconds, said


@pytest.mark.parametrize(("stopped", "expected"), [(False, 1), (True, 0)])
def test_a_loop_that_is_held_up(stopped: bool, expected: int) -> None:
    status, seconds, said = ended("time.sleep(3600)", signal.SIGTERM, stopped=stopped)
    assert status == expected
    assert seconds < BOUND
    # Neither the loop nor the watchdog had anything to say.
    assert said == ""


def test_draining_that_takes_too_long() -> None:
    status, seconds, said = ended("await asyncio.sleep(3600)", signal.SIGINT)
    assert status == 1
    assert DEADLINE / 2 < seconds < BOUND
    assert said == "begun SIGINT\n"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_second_signal_ends_it_at_once(second: signal.Signals) -> None:
    status, _, said = ended("await asyncio.sleep(3600)", signal.SIGTERM, second, deadline=NEVER)
    assert status == 128 + second
    assert "stopped_at_once" in said
    assert second.name in said


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_an_echo_of_the_signal_changes_nothing(second: signal.Signals) -> None:
    # `timeout` signals a process, and then its group.
    status, _, said = ended("await asyncio.sleep(3600)", signal.SIGTERM, second, echo=NEVER)
    assert status == 1
    assert said == ""
