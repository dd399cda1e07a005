"""The worker's life: startup, main loop, shutdown. Everything is made here, once, and handed on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import structlog

from worker import __version__
from worker.budget import Reservation
from worker.errors import Failure, JobError
from worker.failpoints import Failpoints
from worker.health import Health, watch_event_loop
from worker.http.classify import Classify
from worker.http.server import HttpServer
from worker.images.fetch import ImageFetcher
from worker.inference.placement import available_cores, place
from worker.inference.pool import PredictorPool
from worker.jobs import Outcome, Record
from worker.kafka.door import KafkaDoor
from worker.kafka.publisher import Outgoing
from worker.messages import (
    dead_letter_message,
    result_message,
    without_origin,
    without_picture,
    without_result,
    without_value,
)
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.parsing import parse_job, recover_job_id
from worker.pipeline import Pipeline
from worker.settings import Settings

__all__ = ["App"]

log = structlog.get_logger(__name__)


class App:
    """One worker; made and run inside one event loop.

    Args:
        spec: the model to serve.
        kafka: whether to work for a topic; without it there is only HTTP.
        failpoints: faults to inject, for tests.

    Raises:
        SettingsError: the device string is malformed.
    """

    def __init__(
        self, settings: Settings, spec: ModelSpec, failpoints: Failpoints, *, kafka: bool = True
    ) -> None:
        self._settings = settings
        self._spec = spec
        self._stop = asyncio.Event()
        self._stopped = False
        cores = available_cores()
        placements = place(
            settings.device, settings.predictor.slots, settings.predictor.threads, cores
        )
        self.metrics = metrics = Metrics()
        metrics.build.info({"version": __version__})
        # A poll is due every half second, but lasts for as long as a rebalance does.
        limit = max(settings.kafka.max_poll_interval / 2, 2 * settings.kafka.rebalance_timeout)
        self._health = Health(limit, metrics, kafka=kafka)
        self._threads = ThreadPoolExecutor(settings.decode.threads or cores, "image")
        self._pool = PredictorPool(
            spec, placements, settings.predictor, settings.batching, metrics, failpoints
        )
        self._describe_model()
        self._health.predictor_stalled = self._pool.stalled
        self._fetcher = ImageFetcher(settings.fetch, on_failed_attempt=metrics.fetch_attempts.inc)
        self._pipeline = Pipeline(spec, self._fetcher, self._pool, self._threads, settings, metrics)
        self._classify: Classify | None = None
        if settings.http.infer or not kafka:
            self._classify = Classify(
                self._pipeline.process, settings.http, settings.decode.max_bytes, metrics
            )
        self._kafka: KafkaDoor | None = None
        if kafka:
            self._kafka = KafkaDoor(settings, self._answer, self._delivered, self._health, metrics)

    async def run(self) -> None:
        """Start, work until a signal, stop.

        Raises:
            WorkerError: the worker cannot start as configured.
            Exception: a defect that no job is to blame for ended the worker.
        """
        with self._signals():
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self._background())
                stopping = asyncio.create_task(self._stop.wait(), name="stop")
                stack.callback(stopping.cancel)
                starting = asyncio.create_task(self._startup(stack), name="startup")
                # A signal while a large model loads must not wait for it.
                await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
                if not starting.done():
                    starting.cancel()
                    await asyncio.gather(starting, return_exceptions=True)
                    return
                starting.result()
                ends = await asyncio.gather(
                    self._work_for_kafka(), self._work_for_http(), return_exceptions=True
                )
                for error in ends:
                    if error is not None:
                        raise error
        self._stopped = True

    def _describe_model(self) -> None:
        """What the metrics say of the model; which backend computes it is known when it is up."""
        spec, device, backend = self._spec, self._settings.device, self._pool.backend
        self.metrics.model.info(
            {"name": spec.name, "digest": spec.digest, "device": device, "backend": backend}
        )

    async def _startup(self, stack: AsyncExitStack) -> None:
        """Bring everything up, what fails quickest first; `stack` takes it down in reverse."""
        server = HttpServer(self._settings.http, self._health, self.metrics, self._classify)
        await server.start()
        stack.push_async_callback(server.stop)
        log.info("starting", version=__version__, model=self._spec.name, http_port=server.port)
        if self._kafka is not None:
            stack.push_async_callback(self._kafka.disconnect)
            await self._kafka.connect()
        await stack.enter_async_context(self._fetcher)
        stack.callback(self._threads.shutdown, wait=False, cancel_futures=True)
        stack.push_async_callback(self._pool.stop)
        await self._pool.start()
        self._describe_model()
        self._health.set_warm()
        if self._classify is not None:
            self._classify.open()
        log.info("warm", predictors=self._pool.pids)

    async def _work_for_kafka(self) -> None:
        if self._kafka is not None:
            try:
                await self._kafka.run(self._stop)
            finally:
                # A defect here ends the other door too.
                self._stop.set()

    async def _work_for_http(self) -> None:
        await self._stop.wait()
        if self._classify is not None:
            await self._classify.drain(self._settings.shutdown.drain)

    @asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        watch = asyncio.create_task(watch_event_loop(self.metrics), name="event-loop-watch")
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _answer(
        self, record: Record, held: Reservation
    ) -> tuple[Outcome, Sequence[Outgoing]]:
        """One record through the pipeline: what became of it, and the messages that tell of it."""
        outcome: Outcome
        try:
            job = parse_job(record)
        except JobError as error:
            # A second look at the whole value, which only what is refused pays for, and but once.
            job_id = recover_job_id(record)
            outcome = error.as_failure()
        else:
            job_id = job.job_id
            outcome = await self._pipeline.process(job, held)
        kafka, spec = self._settings.kafka, self._spec
        result = result_message(record, job_id, outcome, spec.name, spec.digest)
        messages = [Outgoing(kafka.results_topic, result, (without_picture, without_result))]
        if isinstance(outcome, Failure):
            letter = dead_letter_message(record, job_id, outcome)
            messages.append(
                Outgoing(kafka.dead_letters_topic, letter, (without_value, without_origin))
            )
        return outcome, messages

    def _delivered(self, record: Record, outcome: Outcome) -> None:
        """Metrics and, at debug level, the one log line of a job that is answered."""
        if record.timestamp_ms >= 0:
            self.metrics.latency.observe(max(0.0, time.time() - record.timestamp_ms / 1000))
        if isinstance(outcome, Failure):
            self.metrics.jobs.labels("failure", outcome.reason.label).inc()
            self.metrics.dead_letters.labels(outcome.stage.value, outcome.reason.label).inc()
            log.debug(
                "job_failed",
                record=record.id,
                reason=outcome.reason.label,
                stage=outcome.stage.value,
                message=outcome.message,
            )
        else:
            self.metrics.jobs.labels("success", "ok").inc()
            log.debug(
                "job_done",
                record=record.id,
                label=outcome.categories[0].name,
                score=outcome.categories[0].score,
            )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop the worker in order; a second one at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            log.warning("stopped_at_once", signal=signal.Signals(number).name)
            self._end_process(128 + number)
        log.info(
            "stopping",
            signal=signal.Signals(number).name,
            deadline_seconds=self._settings.shutdown.deadline,
        )
        self._health.set_draining()
        self._stop.set()
        # A thread of a library that never returns (a name server's silence, say) would hold the
        # process beyond its deadline, into the orchestrator's SIGKILL.
        watchdog = threading.Timer(self._settings.shutdown.deadline, self._overdue)
        watchdog.daemon = True
        watchdog.start()

    def _overdue(self) -> None:
        log.warning("shutdown_deadline_passed", stopped=self._stopped)
        self._end_process(0 if self._stopped else 1)

    def _end_process(self, status: int) -> None:
        for pid in self._pool.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os._exit(status)
