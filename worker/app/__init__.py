"""The worker's life: startup, main loop, shutdown. Everything is made here, once, and handed on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import structlog

from worker import __version__
from worker.app.answering import Answering
from worker.app.engine import Engine
from worker.app.obtaining import obtain_spec
from worker.failpoints import Failpoints
from worker.health import Health, watch_event_loop
from worker.http.classify import Classify
from worker.http.server import HttpServer
from worker.inference.placement import available_cores, place
from worker.kafka.door import KafkaDoor
from worker.metrics import Metrics
from worker.settings import Settings

__all__ = ["App"]

log = structlog.get_logger(__name__)


class App:
    """One worker; made and run inside one event loop.

    Args:
        kafka: whether to work for a topic; without it there is only HTTP.
        failpoints: faults to inject, for tests.

    Raises:
        SettingsError: the device string is malformed.
    """

    def __init__(self, settings: Settings, failpoints: Failpoints, *, kafka: bool = True) -> None:
        self._settings = settings
        self._failpoints = failpoints
        self._with_kafka = kafka
        self._stop = asyncio.Event()
        self._stopped = False
        self._placements = place(
            settings.device,
            settings.predictor.slots,
            settings.predictor.threads,
            available_cores(),
        )
        self.metrics = Metrics()
        self.metrics.build.info({"version": __version__})
        # A poll is due every half second, but lasts for as long as a rebalance does.
        limit = max(settings.kafka.max_poll_interval / 2, 2 * settings.kafka.rebalance_timeout)
        self._health = Health(limit, self.metrics, kafka=kafka)
        self._classify: Classify | None = None
        if settings.http.infer or not kafka:
            self._classify = Classify(settings.http, settings.decode.max_bytes, self.metrics)
        self._predictors: Callable[[], Sequence[int]] = tuple
        self._describe_model(str(settings.model_dir or settings.model))

    async def run(self) -> None:
        """Start, work until a signal, stop.

        Raises:
            WorkerError: the worker cannot start as configured.
            Exception: a defect that no job is to blame for ended the worker.
        """
        with self._signals():
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self._background())
                starting = asyncio.create_task(self._startup(stack), name="startup")
                if await self._done_before_a_signal(starting):
                    await self._main_loop(starting.result())
        self._stopped = True

    async def _startup(self, stack: AsyncExitStack) -> KafkaDoor | None:
        """Bring everything up; `stack` takes it down in reverse. The door to Kafka, if it has one.

        What probes need comes first, then what fails quickest.
        """
        settings, metrics, health = self._settings, self.metrics, self._health
        server = HttpServer(settings.http, health, metrics, self._classify)
        await server.start()
        stack.push_async_callback(server.stop)
        model = str(settings.model_dir or settings.model)
        log.info("starting", version=__version__, model=model, http_port=server.port)
        spec = await obtain_spec(settings, health)
        engine = Engine(spec, self._placements, settings, self._failpoints, metrics)
        health.predictor_stalled = engine.pool.stalled
        health.images_stalled = engine.images_stalled
        self._predictors = lambda: engine.pool.pids
        self._describe_model(spec.name, spec.digest)
        kafka = None
        if self._with_kafka:
            answering = Answering(spec, engine.process, settings.kafka, metrics)
            kafka = KafkaDoor(settings, answering, health, metrics)
            stack.push_async_callback(kafka.disconnect)
            await kafka.connect()
        await engine.start(stack)
        self._describe_model(spec.name, spec.digest, engine.pool.backend)
        health.set_warm()
        if self._classify is not None:
            self._classify.open(engine.process)
        log.info("warm", model=spec.name, predictors=engine.pool.pids)
        return kafka

    def _describe_model(self, name: str, digest: str = "", backend: str = "") -> None:
        """What the metrics say of the model: its digest once it is here, its backend once up."""
        device = self._settings.device
        self.metrics.model.info(
            {"name": name, "digest": digest, "device": device, "backend": backend}
        )

    async def _done_before_a_signal(self, starting: asyncio.Task[KafkaDoor | None]) -> bool:
        """Wait for it, but not beyond a signal: a large model takes minutes to come or to load."""
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

    async def _main_loop(self, kafka: KafkaDoor | None) -> None:
        ends = await asyncio.gather(
            self._work_for_kafka(kafka), self._work_for_http(), return_exceptions=True
        )
        for error in ends:
            if error is not None:
                raise error

    async def _work_for_kafka(self, kafka: KafkaDoor | None) -> None:
        if kafka is not None:
            try:
                await kafka.run(self._stop)
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
        for pid in self._predictors():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os._exit(status)
