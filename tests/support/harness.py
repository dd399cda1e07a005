"""A worker as its own process, and the producer's and operator's view of its topics."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["BOUND", "Answer", "Answers", "Names", "Traffic", "Worker", "until", "wait_until_gone"]

BOUND = 120.0
"""Seconds after which something that must happen counts as never happening."""

PAUSE = 0.02
"""Seconds between two looks at a state of another process that sends no event."""


@dataclass(frozen=True, slots=True)
class Names:
    """Topics and group of one test, or of the tests that share a worker."""

    jobs: str
    results: str
    dead_letters: str
    group: str

    @classmethod
    def new(cls) -> Self:
        unique = f"i{uuid.uuid4().hex[:12]}"
        return cls(*(f"{unique}-{kind}" for kind in ("jobs", "results", "dead", "group")))

    def environ(self) -> dict[str, str]:
        return {
            "WORKER_KAFKA__JOBS_TOPIC": self.jobs,
            "WORKER_KAFKA__RESULTS_TOPIC": self.results,
            "WORKER_KAFKA__DEAD_LETTERS_TOPIC": self.dead_letters,
            "WORKER_KAFKA__GROUP_ID": self.group,
        }


def until(holds: Callable[[], bool], what: str, timeout: float = BOUND) -> None:
    """Return once something holds; `what` says in the failure what never came to pass."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(PAUSE)


def wait_until_gone(pids: Iterable[int], timeout: float = 10.0) -> None:
    """Return once no such process runs; one that nobody has reaped yet runs no more."""
    for pid in pids:
        until(lambda: not _runs(pid), f"process {pid} ends", timeout)  # noqa: B023 - called at once


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Worker:
    """`classify-worker run` (or `serve`) as a process of its own, configured by its environment.

    All methods block: from a coroutine that has something else to do, call them in a thread.
    """

    def __init__(self, environ: Mapping[str, str], log_path: Path, command: str = "run") -> None:
        self._environ = dict(environ)
        self._command = command
        self.log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self, **environ: str) -> Self:
        """Start the process; `environ` is added to its environment, for this run."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKER_")}
        self._port = 0
        self.log_path.unlink(missing_ok=True)
        given = self._environ | environ
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self._arguments(given),
                env=inherited | given,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def _arguments(self, environ: Mapping[str, str]) -> list[str]:
        """What starts it; `environ` is set in the environment of that."""
        return [sys.executable, "-m", "worker", self._command]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        """The port of its HTTP server, once that listens."""
        if not self._port:
            self._port = int(self.wait_for_event("starting")["http_port"])
        return self._port

    @property
    def exit_status(self) -> int | None:
        assert self._process is not None
        return self._process.poll()

    def wait(self, timeout: float = BOUND) -> int:
        """The exit status, once the process has ended."""
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker did not end within {timeout:g} s") from None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End the process at once; its predictors end with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's entries called `name`, oldest first."""
        return [entry for entry in self._log() if entry.get("event") == name]

    def wait_for_event(self, name: str, timeout: float = BOUND) -> dict[str, Any]:
        """The log's first entry called `name`, as soon as there is one."""
        self._until_alive(lambda: bool(self.events(name)), f"log entry {name}", timeout)
        return self.events(name)[0]

    def wait_until_ready(self, timeout: float = BOUND) -> None:
        self._until_alive(lambda: self.probe("/readyz")[0] == 200, "the worker is ready", timeout)

    def probe(self, path: str) -> tuple[int, str]:
        """Status and body of a GET; status 0 while nothing listens."""
        if not self._port and (started := self.events("starting")):
            self._port = int(started[0]["http_port"])
        if not self._port:
            return 0, ""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def value(self, metric: str, **labels: str) -> float:
        """The sum of a metric's samples that have `labels`, as of now."""
        _, text = self.probe("/metrics")
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == metric and labels.items() <= sample.labels.items()
        )

    def wait_for_value(
        self, metric: str, holds: Callable[[float], bool], timeout: float = BOUND, **labels: str
    ) -> None:
        self._until_alive(
            lambda: holds(self.value(metric, **labels)), f"{metric} {labels}", timeout
        )

    def predictors(self) -> list[int]:
        """The process ids of the predictors that are up."""
        return self._children("worker.predictor.process")

    def image_processes(self) -> list[int]:
        """The process ids of the image processes that are up."""
        return [
            child.pid
            for forks in self._children("worker.images.forks")
            for child in psutil.Process(forks).children()
        ]

    def _children(self, module: str) -> list[int]:
        """The process ids of those children that run a module."""
        found = []
        for child in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if module in child.cmdline():
                    found.append(child.pid)
        return sorted(found)

    def _until_alive(self, holds: Callable[[], bool], what: str, timeout: float) -> None:
        try:
            until(lambda: holds() or self.exit_status is not None, what, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None
        if not holds():
            raise AssertionError(
                f"the worker ended ({self.exit_status}) before: {what}\n{self.tail()}"
            )

    def tail(self) -> str:
        return "\n".join(self.log_path.read_text("utf-8", "replace").splitlines()[-25:])

    def _log(self) -> Iterator[dict[str, Any]]:
        for line in self.log_path.read_bytes().splitlines():
            # Predictors and the interpreter may write there too, and the last line may be half one.
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    yield entry


@dataclass(frozen=True, slots=True)
class Answer:
    """A record of the results or dead-letter topic."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def body(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.value or b"null")
        return decoded

    def header(self, name: str) -> str | None:
        """The last header called `name`."""
        found = [value.decode() for key, value in self.headers if key == name]
        return found[-1] if found else None


Answers = dict[str, list[Answer]]
"""Records by the id of the job that they are about, oldest first."""


class Traffic:
    """Sends jobs and reads what became of them; a context manager, for one event loop.

    Args:
        client: more of aiokafka's options, for a broker that asks who it is.
    """

    def __init__(self, bootstrap_servers: str, names: Names, **client: str) -> None:
        self.names = names
        self._client = {"bootstrap_servers": bootstrap_servers, **client}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        # One record a batch: tests look at single offsets.
        self.producer = AIOKafkaProducer(**self._client, max_request_size=8 << 20, linger_ms=0)
        self.admin = AIOKafkaAdminClient(**self._client)
        await self.producer.start()
        self._stack.push_async_callback(self.producer.stop)
        await self.admin.start()
        self._stack.push_async_callback(self.admin.close)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def create_topics(
        self, partitions: int = 1, configs: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        """Create the three topics; `configs` by topic name."""
        for name in (self.names.jobs, self.names.results, self.names.dead_letters):
            await self.create_topic(name, partitions, (configs or {}).get(name))

    async def create_topic(
        self, name: str, partitions: int, configs: Mapping[str, str] | None = None
    ) -> None:
        """Create one topic; clients can use it then."""
        await self.admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
        # The controller has made it; the broker that clients ask may not know it yet.
        async with asyncio.timeout(BOUND):
            while name not in await self.admin.list_topics():  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(PAUSE)

    async def grow(self, partitions: int, topic: str | None = None) -> None:
        """Give a topic, the jobs topic by default, more partitions."""
        grown = {topic or self.names.jobs: NewPartitions(partitions)}
        await self.admin.create_partitions(grown)
        await self.learn(partitions, topic)

    async def learn(self, partitions: int, topic: str | None = None) -> None:
        """Return once the producer knows that a topic has so many partitions."""
        async with asyncio.timeout(BOUND):
            while True:
                await self.producer.client.force_metadata_update()
                if len(await self.producer.partitions_for(topic or self.names.jobs)) == partitions:
                    return

    async def send(
        self,
        value: bytes | None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> str:
        """Send one record; its id once it is acknowledged."""
        (record_id,) = await self.send_all([value], key, headers, partition)
        return record_id

    async def send_all(
        self,
        values: Iterable[bytes | None],
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> list[str]:
        """Send records; their ids once all are acknowledged."""
        sent = [
            await self.producer.send(
                self.names.jobs, value, key, headers=list(headers), partition=partition
            )
            for value in values
        ]
        records = [await acknowledged for acknowledged in sent]
        return [f"{r.topic}-{r.partition}-{r.offset}" for r in records]

    async def results(self, ids: Iterable[str], timeout: float = BOUND) -> Answers:
        """The results of these jobs, all that were published so far, once each has one."""
        return await self._read(self.names.results, "result-id", set(ids), timeout)

    async def result(self, record_id: str, timeout: float = BOUND) -> Answer:
        """The first result of a job."""
        return (await self.results([record_id], timeout))[record_id][0]

    async def letters(self, ids: Iterable[str], timeout: float = BOUND) -> Answers:
        """The dead letters of these jobs, once each has one."""
        return await self._read(self.names.dead_letters, "dead-letter-id", set(ids), timeout)

    async def letter(self, record_id: str, timeout: float = BOUND) -> Answer:
        """The first dead letter of a job."""
        return (await self.letters([record_id], timeout))[record_id][0]

    async def all_results(self) -> Answers:
        """What stands in the results topic now."""
        return await self._read(self.names.results, "result-id", None, BOUND)

    async def all_letters(self) -> Answers:
        """What stands in the dead-letter topic now."""
        return await self._read(self.names.dead_letters, "dead-letter-id", None, BOUND)

    async def committed(self) -> dict[int, int]:
        """The group's committed offset by partition, for those that have one."""
        offsets = await self.admin.list_consumer_group_offsets(self.names.group)
        return {
            partition.partition: stored.offset
            for partition, stored in offsets.items()
            if partition.topic == self.names.jobs and stored.offset >= 0
        }

    async def wait_until_committed(
        self, expected: Mapping[int, int], timeout: float = BOUND
    ) -> None:
        """Return once the committed offsets are these."""
        deadline = time.monotonic() + timeout
        while (now := await self.committed()) != expected:
            assert time.monotonic() < deadline, f"committed {now}, not {dict(expected)}"
            await asyncio.sleep(PAUSE)

    async def _read(
        self, topic: str, id_header: str, wanted: set[str] | None, timeout: float
    ) -> Answers:
        """Read a topic from its beginning until all `wanted` are there; None: to its present end.

        From the beginning each time: there is little, and nothing can be missed.
        """
        found: Answers = {}
        deadline = time.monotonic() + timeout
        async with AIOKafkaConsumer(**self._client, max_partition_fetch_bytes=8 << 20) as consumer:
            numbers = await self.producer.partitions_for(topic)
            partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            while time.monotonic() < deadline:
                if wanted is None:
                    at = [await consumer.position(partition) for partition in partitions]
                    if all(a >= ends[p] for a, p in zip(at, partitions, strict=True)):
                        return found
                elif wanted <= found.keys():
                    return {record_id: found[record_id] for record_id in wanted}
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        answer = Answer(record.key, record.value, tuple(record.headers))
                        record_id = answer.header(id_header)
                        assert record_id is not None
                        found.setdefault(record_id, []).append(answer)
        missing = sorted((wanted or set()) - found.keys())
        raise AssertionError(f"{topic}: {len(missing)} unanswered, the first {missing[:5]}")
