"""How long a worker takes to get ready, and its command to answer, once caches are warm."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping

from benchmarks.saturation import Setting, run_workers
from benchmarks.topics import make_topics
from worker.bench.measurement import Measurement
from worker.bench.table import STARTS
from worker.runtime.children import module_command

__all__ = ["measure_starts"]

COMMANDS = (("--help",), ("models", "list"))
TIMEOUT = 60.0


def measure_starts(
    setting: Setting, count: int, environ: Mapping[str, str] | None = None
) -> Iterator[Measurement]:
    """Start each some times, and once before: what that finds out and compiles is kept.

    A worker is asked ten times a second whether it is ready.

    Args:
        count: starts that are measured.
        environ: more settings of the worker.

    Yields:
        Seconds from a worker's start to ready, and seconds that commands take.

    Raises:
        DemoError: a worker does not get ready.
        subprocess.CalledProcessError: a command fails.
    """

    def get_ready() -> float:
        # A group of its own each time: it would have to wait for the last worker's session to end.
        topics = asyncio.run(make_topics(setting.bootstrap))
        began = time.perf_counter()
        with run_workers(setting, topics, environ=environ):
            return time.perf_counter() - began

    yield _measured("start to ready", setting.name, get_ready, count)
    for words in COMMANDS:
        command = module_command("worker.cli", *words)

        def answer(command: list[str] = command) -> float:
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=TIMEOUT)
            return time.perf_counter() - began

        yield _measured(f"classify-worker {' '.join(words)}", setting.name, answer, count)


def _measured(name: str, model: str, start: Callable[[], float], count: int) -> Measurement:
    start()
    took = [start() for _ in range(count)]
    found = {"median": statistics.median(took), "longest": max(took)}
    return Measurement(name, model, details={STARTS: found, "starts": count})
