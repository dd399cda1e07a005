"""The workers of a run, and what an orchestrator does for them: it starts them again."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from demo.errors import DemoError
from demo.worker_process import WorkerProcess

__all__ = ["Fleet", "Replica"]

READY_SECONDS = 120.0
STOP_SECONDS = 30.0
PROBE_SECONDS = 2.0
ATTEMPTS = 10
RESTART_SECONDS = 1.0
UNHEALTHY_PROBES = 8
"""So many failed liveness probes in a row, and the worker is killed, as a kubelet would."""


class Replica:
    """One worker's place: processes follow each other in it.

    Attributes:
        lock: held by what stops or kills the process.
        starts: how many processes there have been.
    """

    def __init__(self, number: int, environment: Mapping[str, str], directory: Path) -> None:
        self.number = number
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
        log = self._directory / f"worker-{self.number}-{self.starts}.log"
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
        """Stop it by SIGTERM.

        Raises:
            DemoError: it did not end in time, or with an exit code other than 0.
        """
        process = self.process
        try:
            await asyncio.to_thread(process.stop, STOP_SECONDS)
        except DemoError:
            # A process that has not logged anything does not listen to signals yet.
            if process.exit_status != -signal.SIGTERM or process.log_path.stat().st_size:
                raise
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
        exits: how often a worker ended without being told to, by how it ended.
    """

    def __init__(self, count: int, environment: Mapping[str, str], directory: Path) -> None:
        self.replicas = [Replica(number, environment, directory) for number in range(count)]
        self.exits: Counter[str] = Counter()
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
        """Stop all workers by SIGTERM, and count those that did not end well."""
        await self._stop_watching()
        stopping = [replica.terminate() for replica in self.replicas]
        for answer in await asyncio.gather(*stopping, return_exceptions=True):
            if isinstance(answer, DemoError):
                self.count_exit(answer)
            elif answer is not None:
                raise answer

    def count_exit(self, error: DemoError) -> None:
        """Take note of a worker that did not end, or start, as it should; the log's end is left."""
        self.exits[str(error).splitlines()[0].partition(";")[0].removeprefix("the worker ")] += 1

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
                self.count_exit(error)
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
                if process.running:
                    self.exits["killed since it was not alive"] += 1
                else:
                    self.exits[f"ended by itself with exit code {process.exit_status}"] += 1
                await replica.kill()
                await replica.start()
                failed = 0
