"""The worker's lifecycle: startup, main loop, shutdown. All its parts are made here, once."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import structlog

from worker import __version__, logs
from worker.app.model_control import ModelControl
from worker.app.model_loading import resolve_spec
from worker.app.notices import Notices, Silence
from worker.app.shadowing import cast_shadow
from worker.app.stopping import Stopper
from worker.cache import watch_disk
from worker.contract.jobs import ModelIdentity
from worker.drift.watch import DriftWatch
from worker.engine.engine import Engine
from worker.failpoints import Failpoints
from worker.health import Health, watch_event_loop
from worker.http.classify import Classify
from worker.http.server import HttpServer
from worker.imaging.nursery import Nursery
from worker.inference.choice import check_choice
from worker.inference.placement import available_cores, place
from worker.kafka.duplicates import make_duplicates
from worker.kafka.record_processor import RecordProcessor
from worker.kafka.retry_topics import RetryTopics
from worker.kafka.service import KafkaService
from worker.metrics import Metrics
from worker.metrics.gpu import GpuWatch
from worker.runtime.signals import StopSignals
from worker.settings import Settings
from worker.settings.durations import duration_label
from worker.tracing import open_tracing

__all__ = ["App"]

YOUNG_OBJECTS = 10_000
"""Objects that are made, less those that are freed, before the new ones are looked through for
garbage. Jobs in flight hold many times Python's 700, and hardly any of them ever is garbage."""

log = structlog.get_logger(__name__)


class App:
    """One worker; made and run inside one event loop.

    Args:
        kafka: whether to work for a topic; without it there is only HTTP.
        failpoints: faults to inject, for tests.
        signals: stop the worker: in order at the first one, at once at the second; or have it look
            for its model again (SIGHUP).
        reread: reads the settings again, for a change of the model while the worker works.
        notices: called at each step of the start.

    Raises:
        SettingsError: `predictor.backend` does not go with the device, tracing cannot be used as
            configured, or `drift.baseline` cannot be read.
        UnfitSystemError: the backend, or what tracing needs, is not installed.
        ModelError: nothing that is installed computes on the device.
    """

    def __init__(
        self,
        settings: Settings,
        failpoints: Failpoints,
        *,
        kafka: bool = True,
        signals: StopSignals | None = None,
        reread: Callable[[], Settings] | None = None,
        notices: Notices | None = None,
    ) -> None:
        self._settings = settings
        self._notices: Notices = notices or Silence()
        self._failpoints = failpoints
        self._with_kafka = kafka
        self._signals = signals
        self._stop = asyncio.Event()
        self._stopped = False
        # Here too, since pulling a model takes minutes.
        check_choice(settings.predictor.backend, settings.device, settings.predictor.kernels)
        self._placements = place(
            settings.device,
            settings.predictor.slots,
            settings.predictor.threads,
            available_cores(),
        )
        self.metrics = Metrics()
        self._drift = DriftWatch(settings.drift, self.metrics)
        self._describe_worker()
        self._gpus = GpuWatch(self.metrics, settings.device)
        logs.count_dropped(self.metrics.log_lines_dropped.inc)
        # A poll is due every half second, but lasts for as long as a rebalance does.
        limit = max(settings.kafka.max_poll_interval / 2, 2 * settings.kafka.rebalance_timeout)
        self._health = Health(limit, self.metrics, kafka=kafka)
        self._health.on_change = self._notices.changed
        self._tracing = open_tracing(settings)
        self._tracer = None if self._tracing is None else self._tracing.tracer
        self._classify: Classify | None = None
        if settings.http.infer or not kafka:
            self._classify = Classify(
                settings.http, settings.decode.max_bytes, self.metrics, tracer=self._tracer
            )
        self._predictors: Callable[[], Sequence[int]] = tuple
        self._models = ModelControl(
            settings,
            reread or (lambda: settings),
            self._health,
            self.metrics,
            slots=len(self._placements),
            on_serving=self._describe_identity,
        )
        self._describe_model(settings.model_source)

    async def run(self) -> None:
        """Start, work until a signal, stop.

        Raises:
            WorkerError: the worker cannot start as configured.
            Exception: a defect that no job is to blame for ended the worker.
        """
        if self._signals is not None:
            self._signals.handler = Stopper(
                self._begin_to_stop,
                asyncio.get_running_loop(),
                self._settings.shutdown.deadline,
                self._pids,
                lambda: self._stopped,
            ).hear
            self._signals.on_hangup = self._models.hang_up
        async with AsyncExitStack() as stack:
            # All modules, which stay to the end. To look through them for garbage, even once, would
            # hold up the loop for tens of milliseconds; what is made from now on takes one.
            gc.freeze()
            stack.callback(gc.unfreeze)
            stack.callback(gc.set_threshold, *gc.get_threshold())
            gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
            if self._tracing is not None:
                # Last of all: jobs end until the very end.
                stack.push_async_callback(self._tracing.stop, self._settings.shutdown.spans)
            await stack.enter_async_context(self._background())
            starting = asyncio.create_task(self._startup(stack), name="startup")
            if await self._done_before_a_signal(starting):
                await self._main_loop(starting.result())
        self._stopped = True

    async def _startup(self, stack: AsyncExitStack) -> KafkaService | None:
        """Bring everything up; `stack` takes it down in reverse.

        What probes need comes first, then what fails quickest.

        Returns:
            The Kafka service, if this worker has one.
        """
        settings, metrics, health = self._settings, self.metrics, self._health
        # What the system lacks is known before anything else is begun.
        nursery = Nursery()
        await nursery.start()
        stack.callback(nursery.stop)
        server = HttpServer(settings.http, health, metrics, self._classify)
        await server.start()
        stack.push_async_callback(server.stop)
        wanted = settings.model_source
        log.info(
            "starting",
            version=__version__,
            model=wanted,
            http_port=server.port,
            metrics_port=server.metrics_port,
        )
        self._notices.listening(server.port, server.metrics_port)
        await self._models.begin()
        spec = await resolve_spec(settings, self._note_pulling)
        engine = Engine(
            spec,
            self._placements,
            settings,
            self._failpoints,
            metrics,
            nursery=nursery,
            tracer=self._tracer,
            drift=self._drift,
        )
        health.predictor_stalled = engine.stalled
        health.images_stalled = engine.images_stalled
        engine.pool.on_selecting = self._selecting
        self._predictors = lambda: engine.pids
        self._describe_model(spec.name, spec.digest)
        # Side by side: each takes a second. The connection is begun first, and so ended last.
        connecting = asyncio.create_task(self._connect(engine, stack), name="connect")
        loading = asyncio.create_task(engine.start(stack), name="engine-start")
        steps: list[asyncio.Task[Any]] = [connecting, loading]
        try:
            # Brokers that do not answer must not hide that the model cannot be loaded.
            await asyncio.wait(steps, return_when=asyncio.FIRST_EXCEPTION)
            for step in steps:
                if step.done():
                    step.result()
        finally:
            for step in steps:
                step.cancel()
            await asyncio.gather(*steps, return_exceptions=True)
        kafka = connecting.result()
        model = engine.identity
        self._describe_identity(model)
        health.set_warm()
        if self._classify is not None:
            self._classify.open(engine.process)
        await stack.enter_async_context(self._models.open(engine, server.admin))
        if settings.shadow.model is not None:
            stack.push_async_callback(_end, self._cast_shadow(engine))
        log.info("warm", model=model.name, backend=model.backend, predictors=engine.pool.pids)
        return kafka

    def _cast_shadow(self, engine: Engine) -> asyncio.Task[None]:
        """Have a second model beside the first, in the background: nobody waits for it."""
        placements = [replace(placement, idle=True) for placement in self._placements]
        casting = cast_shadow(engine, self._settings, placements, self._failpoints, self.metrics)
        return asyncio.create_task(casting, name="shadow")

    async def _connect(self, engine: Engine, stack: AsyncExitStack) -> KafkaService | None:
        """Connect to Kafka, if this worker works for a topic; `stack` disconnects."""
        kafka = await self._connect_kafka(engine, stack) if self._with_kafka else None
        self._notices.loading(engine.spec.name)
        return kafka

    async def _connect_kafka(self, engine: Engine, stack: AsyncExitStack) -> KafkaService:
        settings = self._settings
        processor = RecordProcessor(
            lambda: engine.identity,
            engine.process,
            settings.kafka,
            self.metrics,
            retries=RetryTopics(settings.retry_topics),
            duplicates=make_duplicates(settings.duplicates),
        )
        kafka = KafkaService(settings, processor, self._health, self.metrics, tracer=self._tracer)
        stack.push_async_callback(kafka.disconnect)
        self._notices.connecting()
        await kafka.connect()
        return kafka

    def _note_pulling(self, pulling: bool) -> None:
        self._health.pulling = pulling

    def _selecting(self, step: str, backends: Sequence[str]) -> None:
        self._health.selecting = step
        self._notices.selecting(step, backends)

    def _describe_worker(self) -> None:
        """Set what the metrics say of this replica; the counters whose labels it sets begin."""
        metrics, kafka = self.metrics, self._settings.kafka
        metrics.build.info({"version": __version__})
        metrics.expect_slots(len(self._placements))
        replica = kafka.group_instance_id or socket.gethostname()
        group = topic = ""
        if self._with_kafka:
            group, topic = kafka.group_id, kafka.jobs_topic
            metrics.expect_kafka(kafka.results_topic, kafka.dead_letters_topic)
            metrics.expect_retries(map(duration_label, self._settings.retry.delays))
        metrics.worker.info({"group": group, "replica": replica, "topic": topic})

    def _describe_identity(self, model: ModelIdentity) -> None:
        self._describe_model(model.name, model.digest, model.backend)

    def _describe_model(self, name: str, digest: str = "", backend: str = "") -> None:
        """What the metrics say of the model: its digest once it is here, its backend once up."""
        device = str(self._settings.device)
        self.metrics.model.info(
            {"name": name, "digest": digest, "device": device, "backend": backend}
        )

    async def _done_before_a_signal(self, starting: asyncio.Task[KafkaService | None]) -> bool:
        """Wait for a step of the start, or for a signal: a large model takes minutes to load."""
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if starting.done():
            return True
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return False

    async def _main_loop(self, kafka: KafkaService | None) -> None:
        ends = await asyncio.gather(
            self._work_for_kafka(kafka), self._work_for_http(), return_exceptions=True
        )
        for error in ends:
            if error is not None:
                raise error

    async def _work_for_kafka(self, kafka: KafkaService | None) -> None:
        if kafka is not None:
            try:
                await kafka.run(self._stop)
            finally:
                # A defect here ends HTTP too.
                self._stop.set()

    async def _work_for_http(self) -> None:
        await self._stop.wait()
        if self._classify is not None:
            await self._classify.drain(self._settings.shutdown.drain)

    @asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        watch = asyncio.create_task(watch_event_loop(self.metrics), name="event-loop-watch")
        self._gpus.start()
        try:
            with watch_disk(self._cache_disk):
                yield
        finally:
            self._gpus.stop()
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    def _cache_disk(self, free: int, size: int) -> None:
        self.metrics.cache_free.set(free)
        self.metrics.cache_size.set(size)

    def _pids(self) -> Sequence[int]:
        return self._predictors()

    def _begin_to_stop(self, number: signal.Signals) -> None:
        deadline = self._settings.shutdown.deadline
        log.info("stopping", signal=number.name, deadline_seconds=deadline)
        self._health.set_draining()
        if self._signals is not None:
            # As a second signal it ends the worker.
            self._signals.on_hangup = None
        self._models.stop()
        self._stop.set()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
