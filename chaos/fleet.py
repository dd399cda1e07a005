"""The workers of a run, and what an orchestrator does for them: it starts them again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from demo.errors import DemoError
from demo.worker_process import WorkerProcess
from worker.cli.options import EXIT_UNAVAILABLE

__all__ = ["Exits", "Fleet", "Replica"]

READY_SECONDS = 120.0
STOP_SECONDS = 30.0
PROBE_SECONDS = 2.0
ATTEMPTS = 10
RESTART_SECONDS = 1.0
UNHEALTHY_PROBES = 8
"""So many failed liveness probes in a row, and the worker is killed, as a kubelet would."""


@dataclass(slots=True)
class Exits:
    """How workers ended that nobody had told to end, or otherwise than they were told.

    Attributes:
        unavailable: how many ended because Kafka could not be used, which their exit code says. An
            orchestrator starts them again until it can be.
        crashes: all others, one sentence each.
    """

    unavailable: int = 0
    crashes: list[str] = field(default_factory=list)

    def note(self, process: WorkerProcess, how: str) -> None:
        """Take note of a worker that ended, or is about to be killed since it should have."""
        if process.exit_status == EXIT_UNAVAILABLE:
            self.unavailable += 1
        else:
            self.crashes.append(f"{process.log_path.name}: {how}")


class Replica:
    """One worker's place: processes follow each other in it.

    Args:
        exits: takes note of processes that end badly.

    Attributes:
        lock: held by what stops or kills the process.
        starts: how many processes there have been.
    """

    def __init__(
        self, number: int, environment: Mapping[str, str], directory: Path, exits: Exits
    ) -> None:
        self._number = number
        self._exits = exits
        self._environment = dict(environment)
        self._directory = directory
        self._stack = ExitStack()
        self._process: WorkerProcess | None = None
        self.lock = asyncio.Lock()
        self.starts = 0

    @property
    def process(self) -> WorkerProcess:
        """The present process, or the last one."""
        assert self._process is not None
        return self._process

    async def start(self, extra: Mapping[str, str] | None = None) -> None:
        """Start a process; it is not ready yet."""
        self.starts += 1
        log = self._directory / f"worker-{self._number}-{self.starts}.log"
        process = WorkerProcess({**self._environment, **(extra or {})}, log)
        await asyncio.to_thread(self._stack.enter_context, process)
        self._process = process

    async def wait_until_ready(self) -> None:
        """Return once it is ready.

        Raises:
            DemoError: it ended, or is not in time.
        """
        await asyncio.to_thread(self.process.wait_until_ready, READY_SECONDS)

    async def terminate(self) -> None:
        """Stop it by SIGTERM, and take note if it does not end in time with exit code 0."""
        process = self.process
        try:
            await asyncio.to_thread(process.stop, STOP_SECONDS)
        except DemoError as error:
            # A process that has not begun does not listen to signals yet.
            listened = b'"starting"' in process.log_path.read_bytes()
            if listened or process.exit_status != -signal.SIGTERM:
                self._exits.note(process, str(error).partition(";")[0])
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End it by SIGKILL, if it runs."""
        await asyncio.to_thread(self._stack.close)

    def children(self, package: str) -> list[psutil.Process]:
        """Find the worker's processes that run a module of `package`, by their command lines.

        Returns:
            Those that are there now and do the work: one that only forks others is left out.
        """
        try:
            below = psutil.Process(self.process.pid).children(recursive=True)
            found = {
                child.pid: child
                for child in below
                if any(word.startswith(package) for word in child.cmdline())
            }
            parents = {child.ppid() for child in found.values()}
            return [child for pid, child in found.items() if pid not in parents]
        except psutil.Error:
            # One of them ended meanwhile, and is about to be replaced.
            return []


class Fleet:
    """All workers, started and watched; an asynchronous context manager.

    Args:
        environment: their settings.
        directory: for their logs.

    Attributes:
        replicas: the workers; no fault ends the first one, so that what leaks is seen.
        exits: how workers ended that should not have.
    """

    def __init__(self, count: int, environment: Mapping[str, str], directory: Path) -> None:
        self.exits = Exits()
        self.replicas = [
            Replica(number, environment, directory, self.exits) for number in range(count)
        ]
        self._watching: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(self.start_again(replica) for replica in self.replicas))
        except BaseException:
            await self._kill_all()
            raise
        self._watching = [asyncio.create_task(self._watch(each)) for each in self.replicas]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop_watching()
        await self._kill_all()

    @property
    def mortal(self) -> list[Replica]:
        """The workers that faults may end."""
        return self.replicas[1:] or self.replicas

    async def stop(self) -> None:
        """Stop all workers by SIGTERM."""
        await self._stop_watching()
        await asyncio.gather(*(replica.terminate() for replica in self.replicas))

    async def start_again(self, replica: Replica, extra: Mapping[str, str] | None = None) -> None:
        """Start a worker and return once it is ready; one that ends is started again.

        Raises:
            DemoError: it is not ready in time, or ended again and again.
        """
        for attempt in range(ATTEMPTS):
            await replica.start(extra)
            try:
                await replica.wait_until_ready()
            except DemoError as error:
                if replica.process.running or attempt == ATTEMPTS - 1:
                    raise
                self.exits.note(replica.process, str(error).partition(";")[0])
                await replica.kill()
                await asyncio.sleep(RESTART_SECONDS)
            else:
                return

    async def _stop_watching(self) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        self._watching = []

    async def _kill_all(self) -> None:
        await asyncio.gather(*(replica.kill() for replica in self.replicas))

    async def _watch(self, replica: Replica) -> None:
        failed = 0
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            if replica.lock.locked():
                failed = 0
                continue
            process = replica.process
            alive = await asyncio.to_thread(process.answers, "/livez")
            if replica.lock.locked() or replica.process is not process:
                continue
            failed = 0 if alive else failed + 1
            if process.running and failed < UNHEALTHY_PROBES:
                continue
            async with replica.lock:
                what = "was not alive" if process.running else "ended by itself"
                self.exits.note(process, f"the worker {what} (exit code {process.exit_status})")
                await replica.kill()
                await replica.start()
                failed = 0
