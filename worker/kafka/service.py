"""The worker's Kafka side as a whole: consumer, ledgers, commits and publisher, wired."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka.errors import KafkaError

from worker.budget import Budget, Reservation
from worker.contract.jobs import Ending
from worker.contract.records import Record
from worker.errors import KafkaSetupError, Stage
from worker.health import Health
from worker.kafka.assignment import Assignment, PartitionState
from worker.kafka.client import make_consumer, stop_bounded
from worker.kafka.delivery import Delivery, make_delivery
from worker.kafka.intake import Intake
from worker.kafka.lag import LagWatch
from worker.kafka.parcel import Parcel, Refusals
from worker.kafka.reach import Reach
from worker.kafka.rebalance import RebalanceListener, release_partitions
from worker.kafka.record_processor import RecordProcessor
from worker.kafka.retry_waits import RetryWaits
from worker.kafka.topic_history import TopicHistory
from worker.kafka.topics import ensure_topics
from worker.metrics import Metrics
from worker.settings import Settings

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from worker.kafka.consumer import Consumer
    from worker.tracing.tracer import Tracer

__all__ = ["KafkaService"]

log = structlog.get_logger(__name__)


class KafkaService:
    """Consumes jobs and their retries, and publishes results and dead letters.

    Args:
        processor: makes the messages about each record.
        tracer: makes spans of jobs and messages; None without tracing.
    """

    def __init__(
        self,
        settings: Settings,
        processor: RecordProcessor,
        health: Health,
        metrics: Metrics,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        self._settings = settings
        self._processor = processor
        self._health = health
        self._metrics = metrics
        self._tracer = tracer
        self._assignment = Assignment()
        self._budget = Budget(settings.intake.max_jobs, settings.intake.max_bytes)
        self._defect: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._delivery: Delivery | None = None

    async def connect(self) -> None:
        """Check the topics and connect the producer.

        Raises:
            KafkaSetupError: Kafka cannot be used as configured.
        """
        kafka = self._settings.kafka
        written = (kafka.results_topic, kafka.dead_letters_topic, *self._settings.retry_topics)
        limits = await ensure_topics(kafka, (kafka.jobs_topic, *written), uncompacted=written)
        self._delivery = make_delivery(
            self._settings,
            limits,
            Refusals(self._processor.reject, self._metrics),
            TopicHistory(lambda forbidden: self._health.set_publishing(not forbidden)),
            self._metrics,
            self._tracer,
            self._budget,
        )
        self._metrics.connected.labels("producer").set_function(self._is_producer_connected)
        try:
            await self._delivery.connect()
        except KafkaError as error:
            raise KafkaSetupError(
                f"cannot publish to {kafka.bootstrap_servers}: {error}"
            ) from error

    async def run(self, stop: asyncio.Event) -> None:
        """Join the group and work until `stop` is set; then drain, commit, flush and leave.

        Raises:
            KafkaSetupError: the group cannot be joined, or the jobs topic can no longer be read.
            Exception: a defect that no job is to blame for. Unsettled jobs are delivered again.
        """
        kafka, delivery = self._settings.kafka, self._delivery
        retry_topics = self._settings.retry_topics
        assert delivery is not None
        consumer = make_consumer(kafka)
        delivery.attach(consumer, self._assignment)
        intake = Intake(
            consumer,
            kafka.jobs_topic,
            self._assignment,
            self._budget,
            self._handle,
            partition_max_jobs=self._settings.intake.partition_max_jobs,
            offset_reset=kafka.auto_offset_reset,
            error_patience=kafka.session_timeout,
            heartbeat=self._health.poll,
            metrics=self._metrics,
            on_defect=self._fail,
            waits=RetryWaits(retry_topics),
        )
        listener = RebalanceListener(
            self._assignment,
            delivery,
            kafka.rebalance_timeout * kafka.drain_share,
            self._metrics,
            self._health.set_assigned,
        )
        consumer.subscribe([kafka.jobs_topic, *retry_topics], listener=listener)
        lag = LagWatch(consumer, self._assignment, kafka.commit_interval, waiting=retry_topics)
        self._watch(consumer, lag)
        stopped = asyncio.create_task(stop.wait(), name="stop")
        if not await self._join(consumer, stopped):
            return
        loops = [
            asyncio.create_task(intake.run(), name="intake"),
            asyncio.create_task(delivery.run(), name="delivery"),
        ]
        reach = Reach(lambda: consumer.reaches_brokers, self._health.refresh)
        self._health.brokers_lost = reach.lost
        # Whatever becomes of these, jobs go on.
        watches = [
            asyncio.create_task(lag.run(), name="lag"),
            asyncio.create_task(reach.run(), name="reach"),
        ]
        try:
            watched: list[asyncio.Future[Any]] = [*loops, stopped, self._defect]
            ended, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            intake.stop()
            # After a defect nothing is drained: draining might wait for what failed.
            limits = self._settings.shutdown
            drain = 0.0 if any(ending.exception() for ending in ended) else limits.drain
            abandoned = await release_partitions(
                self._assignment, delivery, drain, self._metrics, "shutdown", limits.flush
            )
            log.info("drained", abandoned_jobs=abandoned)
        finally:
            tasks = [*loops, *watches, stopped]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(
                self.disconnect(), stop_bounded(consumer, "consumer", self._settings.shutdown.flush)
            )
        # Draining can cause a defect as well.
        for ending in {*ended, self._defect}:
            if ending.done():
                _raise_from(ending)

    async def _join(self, consumer: AIOKafkaConsumer, stopped: asyncio.Task[Any]) -> bool:
        """Join the group, unless the worker is stopped first.

        Returns:
            Whether it joined.

        Raises:
            KafkaSetupError: the group cannot be joined.
        """
        # Joining takes until the group's slowest member has drained. Stopping must not wait for it.
        joining = asyncio.create_task(consumer.start(), name="join")
        await asyncio.wait([joining, stopped], return_when=asyncio.FIRST_COMPLETED)
        if joining.done() and joining.exception() is None:
            return True
        joining.cancel()
        stopped.cancel()
        await asyncio.gather(joining, return_exceptions=True)
        await stop_bounded(consumer, "consumer", self._settings.shutdown.flush)
        if joining.cancelled():
            return False
        if isinstance(error := joining.exception(), KafkaError):
            group = self._settings.kafka.group_id
            raise KafkaSetupError(f"cannot join group {group}: {error}") from error
        joining.result()
        return False

    def _watch(self, consumer: Consumer, lag: LagWatch) -> None:
        """Let metrics read from the consumer what they show at each scrape."""
        metrics = self._metrics
        metrics.watch_partitions(
            lambda: self._assignment.progress(consumer.damaged, self._settings.retry_topics)
        )
        metrics.unreadable_batches.read = lambda: [
            ((kind,), count) for kind, count in consumer.unreadable_batches.items()
        ]
        metrics.lag_age.read = lambda: _sample(lag.age())
        metrics.time_to_drain.read = lambda: _sample(lag.time_to_drain())
        metrics.connected.labels("consumer").set_function(lambda: consumer.connected)
        metrics.fetched.set_function(lambda: consumer.fetched_bytes)

    def _is_producer_connected(self) -> bool:
        return self._delivery is not None and self._delivery.connected

    async def disconnect(self) -> None:
        """Flush and stop the producer, within `shutdown.flush` seconds."""
        if self._delivery is not None:
            await self._delivery.stop(self._settings.shutdown.flush)
            self._delivery = None

    async def _handle(self, state: PartitionState, record: Record, held: Reservation) -> None:
        if self._tracer is None:
            await self._answer(state, record, held)
            return
        with self._tracer.process(record) as note_outcome:
            note_outcome(await self._answer(state, record, held))

    async def _answer(self, state: PartitionState, record: Record, held: Reservation) -> Ending:
        """Process a record and deliver what there is to say about it.

        Returns:
            What became of it.
        """
        ending, messages = await self._processor.process(record, held)
        parcel = Parcel(state, record, ending, list(messages))
        # What waits for its delivery fills memory as well.
        held.add(parcel.size)
        assert self._delivery is not None
        with self._metrics.time_stage(Stage.PUBLISH):
            await self._delivery.deliver(parcel)
        self._processor.finish(record, parcel.ending, parcel.refused)
        return parcel.ending

    def _fail(self, error: BaseException) -> None:
        if not self._defect.done():
            self._defect.set_exception(error)


def _raise_from(ending: asyncio.Future[Any]) -> None:
    try:
        ending.result()
    except KafkaError as error:
        # Brokers that cannot be reached are not a bug of the worker.
        cause = f"{type(error).__name__}: {error}"
        raise KafkaSetupError(f"Kafka cannot be used any longer: {cause}") from error


def _sample(value: float | None) -> Iterator[tuple[tuple[()], float]]:
    """A metric without labels: one sample, or none while there is nothing to tell."""
    if value is not None:
        yield (), value
