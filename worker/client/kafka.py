"""A client that sends images as jobs through Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from worker.client.base import TIMEOUT, Call, Client, closed
from worker.client.errors import ServiceError
from worker.client.exchange import Exchange
from worker.client.many import MAX_JOBS
from worker.client.requests import content_type, read_image
from worker.client.sync import SyncClient
from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.job_messages import JobEnvelope
from worker.contract.jobs import UrlImage
from worker.contract.results import Result, read_result
from worker.errors import SettingsError
from worker.kafka.job_client import JobClient
from worker.settings import KafkaSettings, Settings

if TYPE_CHECKING:
    from worker.contract.records import Message

__all__ = ["KafkaClient", "SyncKafkaClient"]


class KafkaClient(Client):
    """Classifies images by way of Kafka; a context manager, for one event loop.

    It reads the results topic from its end, in no consumer group: others notice nothing, and
    results of others and second deliveries are ignored. A result is matched with its job by a
    `correlation-id`, or by the place of the job's record where the worker had to leave that out.

    Args:
        bootstrap_servers: brokers, as `host:port,host:port`.
        jobs_topic: the topic that workers take jobs from.
        results_topic: the topic that they write results to.
        settings: everything else, such as TLS and SASL (`kafka.security_protocol`, `kafka.tls`,
            `kafka.sasl`), as the worker has it: its whole settings or those of the group `kafka`.
            The arguments above win over it, and it over the defaults.
        timeout: seconds that a job has where a call does not say.
        send_as: how bytes travel: `raw`, as they are, or `base64`, a third larger, in JSON.
        clock: measures latencies.

    Raises:
        SettingsError: an argument is wrong; the message says which.
    """

    def __init__(
        self,
        bootstrap_servers: str | None = None,
        *,
        jobs_topic: str | None = None,
        results_topic: str | None = None,
        settings: Settings | KafkaSettings | None = None,
        timeout: float = TIMEOUT,
        send_as: Literal["raw", "base64"] = "raw",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(timeout, MAX_JOBS, send_as, clock)
        whole = settings if isinstance(settings, Settings) else Settings()
        kafka = settings if isinstance(settings, KafkaSettings) else whole.kafka
        given = {
            "bootstrap_servers": bootstrap_servers,
            "jobs_topic": jobs_topic,
            "results_topic": results_topic,
        }
        self._transport = JobClient(_with(kafka, given), whole.publish)
        self._exchange: Exchange | None = None

    async def open(self) -> None:
        """Connect, and begin to read results; `async with` does so.

        Raises:
            KafkaSetupError: Kafka cannot be used as configured, or a topic is missing.
        """
        if self._exchange is None:
            self._exchange = await Exchange(self._transport).__aenter__()

    async def close(self) -> None:
        """Disconnect; `async with` does so. Jobs that are waited for raise `ClientClosed`."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.__aexit__(None, None, None)

    async def _ask(self, call: Call) -> Result:
        if self._exchange is None:
            raise closed()

        async def prepare(correlation: str) -> Message:
            message = await self._message(call, correlation)
            call.hold.set(message.size)
            call.began = self._clock.monotonic()
            return message

        def acknowledged(record_id: str) -> None:
            call.record_id = record_id
            call.hold.await_result()

        record = await self._exchange.ask(prepare, acknowledged)
        call.ended = self._clock.monotonic()
        try:
            return read_result(record.value)
        except ValueError as error:
            raise ServiceError(str(error)) from error

    async def _message(self, call: Call, correlation: str) -> Message:
        envelope = JobEnvelope(call.job_id, correlation, call.top_k, call.visualize)
        match call.content:
            case UrlImage(url):
                return envelope.with_url(url)
            case Mapping() as written:
                return envelope.with_job(written)
            case content:
                image = await read_image(content, self._transport.max_bytes)
                if (call.send_as or self._send_as) == "raw":
                    return envelope.with_raw(image, content_type(image))
                return envelope.with_base64(image)

    def _late(self, call: Call) -> str:
        return "" if call.record_id else ": the brokers have not acknowledged the job"


class SyncKafkaClient(SyncClient):
    """`KafkaClient` for programs without an event loop: the same arguments and methods."""

    def __init__(
        self,
        bootstrap_servers: str | None = None,
        *,
        jobs_topic: str | None = None,
        results_topic: str | None = None,
        settings: Settings | KafkaSettings | None = None,
        timeout: float = TIMEOUT,
        send_as: Literal["raw", "base64"] = "raw",
    ) -> None:
        client = KafkaClient(
            bootstrap_servers,
            jobs_topic=jobs_topic,
            results_topic=results_topic,
            settings=settings,
            timeout=timeout,
            send_as=send_as,
        )
        super().__init__(client)


def _with(kafka: KafkaSettings, given: Mapping[str, str | None]) -> KafkaSettings:
    named = {name: value for name, value in given.items() if value is not None}
    try:
        return KafkaSettings.model_validate(dict(kafka) | named)
    except ValidationError as error:
        wrong = "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())
        raise SettingsError(f"KafkaClient({', '.join(named)}): {wrong}") from error
