"""`top` on a terminal of its own, before the metrics of real HTTP servers."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.terminal import Terminal
from worker.health import Health
from worker.http.server import HttpServer
from worker.metrics import Metrics
from worker.settings import HttpSettings

ALTERNATE, MAIN = "\x1b[?1049h", "\x1b[?1049l"
HIDDEN, VISIBLE = "\x1b[?25l", "\x1b[?25h"


class Worker:
    """The HTTP side of a worker, whose metrics the test moves."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        settings = HttpSettings(host="127.0.0.1", port=0)
        health = Health(60.0, self.metrics, kafka=False)
        self.server = HttpServer(settings, health, self.metrics, None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"


@asynccontextmanager
async def running() -> AsyncIterator[Worker]:
    worker = Worker()
    await worker.server.start()
    try:
        yield worker
    finally:
        await worker.server.stop()


def restored(terminal: Terminal) -> bool:
    """Whether the terminal is as it was: modes, screen and cursor."""
    controls = [each for each in terminal.controls if each in (ALTERNATE, MAIN, HIDDEN, VISIBLE)]
    return (
        terminal.is_as_before
        and controls.count(ALTERNATE) == controls.count(MAIN) == 1
        and [each for each in controls if each in (HIDDEN, VISIBLE)][-1] == VISIBLE
    )


async def test_workers_are_shown_live_until_q_is_pressed() -> None:
    async with running() as one, running() as other:
        with Terminal("top", one.url, other.url, "-n", "0.2", environ={}, lines=24) as terminal:
            await asyncio.to_thread(terminal.wait_for, "2 of 2")
            one.metrics.jobs.labels("failure", "not_found").inc(1_000_000)
            await asyncio.to_thread(terminal.wait_for, "dead letters a second")
            # One that goes away is shown so, and the other one's figures go on.
            await other.server.stop()
            await asyncio.to_thread(terminal.wait_for, "down: connection refused")
            await asyncio.to_thread(terminal.wait_for, "1 of 2")
            one.metrics.requests.labels("success", "ok").inc(1_000_000)
            assert not terminal.is_as_before, "keys are read as they are pressed"
            terminal.press("xq")
            assert await asyncio.to_thread(terminal.wait) == 0
            assert restored(terminal)


@pytest.mark.parametrize(
    ("end", "status"),
    [("\x03", 130), (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
async def test_however_it_ends_the_terminal_is_restored(
    end: str | signal.Signals, status: int
) -> None:
    async with running() as worker:
        with Terminal("top", worker.url, environ={}) as terminal:
            await asyncio.to_thread(terminal.wait_for, "q quits")
            if isinstance(end, signal.Signals):
                terminal.send_signal(end)
            else:
                terminal.press(end)
            assert await asyncio.to_thread(terminal.wait) == status
            assert restored(terminal)
            assert "Traceback" not in terminal.text


async def run_once(*urls: str) -> tuple[int, str]:
    """Exit status and output of `top --once`."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "worker", "top", "--once", "-n", "0.2", *urls],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert not done.stderr, done.stderr.decode()
    return done.returncode, done.stdout.decode()


async def test_once_prints_the_figures_and_says_whether_all_answer() -> None:
    async with running() as worker, running() as gone:
        await gone.server.stop()
        status, text = await run_once(worker.url)
        assert status == 0
        assert "not ready" in text
        assert "\x1b" not in text
        status, text = await run_once(worker.url, gone.url)
        assert status == 1
        assert "down: connection refused" in text
        assert "1 of 2" in text


def test_what_is_no_address_is_refused() -> None:
    with Terminal("top", "ftp://host", environ={}) as terminal:
        assert terminal.wait() == 2
        assert "write http://host:8080" in " ".join(terminal.text.split())
