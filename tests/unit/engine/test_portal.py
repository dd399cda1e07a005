"""The portal without an engine: calls from everywhere, and an end in every way."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import AsyncExitStack

import pytest

from worker.engine.portal import Portal

BOUND = 20.0


class Thing:
    """What is started: it tells of its end."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.ended = threading.Event()
        self.waiting = threading.Event()

    async def double(self, number: int) -> int:
        await asyncio.sleep(0)
        assert asyncio.get_running_loop() is self.loop
        return 2 * number

    async def wait(self) -> None:
        self.waiting.set()
        await asyncio.Event().wait()


async def start(stack: AsyncExitStack) -> Thing:
    thing = Thing()
    stack.callback(thing.ended.set)
    return thing


@pytest.fixture
def portal() -> Iterator[Portal[Thing]]:
    made = Portal(start, "test")
    yield made
    made.close()


def test_calls_are_made_in_its_loop_from_any_thread(portal: Portal[Thing]) -> None:
    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(lambda n: portal.call(portal.value.double(n)), range(200)))
    assert numbers == [2 * n for n in range(200)]


async def test_it_works_within_a_running_loop(portal: Portal[Thing]) -> None:
    assert portal.call(portal.value.double(4)) == 8


def test_what_a_call_raises_is_raised(portal: Portal[Thing]) -> None:
    async def fail() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        portal.call(fail())


def test_a_call_can_be_cancelled(portal: Portal[Thing]) -> None:
    future = portal.submit(portal.value.wait())
    assert portal.value.waiting.wait(BOUND)
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(BOUND)
    assert portal.call(portal.value.double(1)) == 2


def test_what_cannot_be_started_is_raised_and_leaves_no_thread() -> None:
    ended = threading.Event()

    async def fail(stack: AsyncExitStack) -> None:
        stack.callback(ended.set)
        raise LookupError("none")

    with pytest.raises(LookupError, match="none"):
        Portal(fail, "fails")
    assert ended.is_set()
    assert "fails" not in {thread.name for thread in threading.enumerate()}


def test_closing_ends_what_was_started_and_the_calls_under_way() -> None:
    portal = Portal(start, "test")
    thing = portal.value
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: portal.call(thing.wait()))
        assert thing.waiting.wait(BOUND)
        portal.close()
        with pytest.raises(RuntimeError, match="the pipeline is closed: make another"):
            waiting.result(BOUND)
    assert thing.ended.is_set()
    portal.close()  # again: nothing
    with pytest.raises(RuntimeError, match="closed"):
        portal.check()
    with pytest.raises(RuntimeError, match="closed"):
        portal.submit(thing.double(1))


def test_it_ends_when_it_is_let_go_of() -> None:
    portal = Portal(start, "test")
    thing = portal.value
    del portal
    gc.collect()
    assert thing.ended.wait(BOUND)


def test_a_fork_is_told_so_and_changes_nothing(portal: Portal[Thing]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, about threads
        child = os.fork()
    if not child:
        status = 1
        try:
            portal.close()
            portal.call(portal.value.double(1))
        except RuntimeError as error:
            status = 5 if "make one in each" in str(error) else 6
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    assert portal.call(portal.value.double(1)) == 2


PROGRAM = """
import asyncio, os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from worker.engine.portal import Portal

class Thing:
    def __init__(self):
        self.thread = ThreadPoolExecutor(1)

    async def stop(self):
        # As the engine's slots do: an executor's thread is needed until the end.
        await asyncio.get_running_loop().run_in_executor(self.thread, print, "stopped")

    async def wait(self):
        await asyncio.Event().wait()

async def start(stack):
    thing = Thing()
    stack.push_async_callback(thing.stop)
    if "hang" in sys.argv:
        print("starting", flush=True)
        await asyncio.Event().wait()
    return thing

portal = Portal(start, "test")
waiting = portal.submit(portal.value.wait())
if "raise" in sys.argv:
    raise SystemExit(7)
if "child" in sys.argv:
    import multiprocessing
    fork = multiprocessing.get_context("fork")
    child = fork.Process(target=lambda: Portal(start, "of the child"))  # and lets go of it at once
    child.start()
    child.join()
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "out"),
    [
        ((), 0, "stopped\n"),
        (("raise",), 7, "stopped\n"),
        (("child",), 0, "stopped\nstopped\n"),
    ],
)
def test_it_ends_with_the_interpreter(arguments: tuple[str, ...], status: int, out: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (status, out, "")


def test_ctrl_c_ends_it_while_it_starts() -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM, "hang"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "starting\n"
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=BOUND)
    assert out == "stopped\n"
    assert error.splitlines()[-1] == "KeyboardInterrupt"
