"""The topics that records of dead letters go back to, and what these accept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiokafka.errors import KafkaError

from worker.errors import KafkaSetupError
from worker.kafka.client import make_admin
from worker.kafka.diagnosis import find_cause
from worker.kafka.topics import describe_configs

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

    from worker.settings import KafkaSettings

__all__ = ["Destination", "Destinations", "cannot_use"]


@dataclass(frozen=True, slots=True)
class Destination:
    """A topic that records go back to.

    Attributes:
        partitions: their number.
        max_bytes: its largest message; None where its settings may not be read.
    """

    partitions: int
    max_bytes: int | None


class Destinations:
    """Asks the brokers about topics, once about each; a context manager."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin: AIOKafkaAdminClient | None = None
        self._known: dict[str, Destination | None] = {}

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            KafkaSetupError: Kafka cannot be used as configured.
        """
        self._admin = make_admin(self._settings)
        try:
            await self._ask(self._admin.start)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def find(self, topic: str) -> Destination | None:
        """Ask for the state of a topic.

        Returns:
            The topic; None if it does not exist, or the user may not see it.

        Raises:
            KafkaSetupError: the brokers do not answer.
        """
        if topic not in self._known:
            self._known[topic] = await self._ask(lambda: self._look_up(topic))
        return self._known[topic]

    async def _look_up(self, topic: str) -> Destination | None:
        assert self._admin is not None
        # Of all topics, since asking for one that is missing can create it.
        described = {each["topic"]: each for each in await self._admin.describe_topics()}
        if topic not in described:
            return None
        configs = (await describe_configs(self._admin, [topic]))[topic]
        limit = configs.get("max.message.bytes")
        return Destination(
            len(described[topic]["partitions"]), None if limit is None else int(limit)
        )

    async def _ask(self, question: Callable[[], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401 - what it is answered
        try:
            return await question()
        except KafkaError as error:
            raise await cannot_use(self._settings, error) from error

    async def _close(self) -> None:
        if self._admin is not None:
            with contextlib.suppress(KafkaError):
                await self._admin.close()
        self._admin = None


async def cannot_use(settings: KafkaSettings, error: KafkaError) -> KafkaSetupError:
    """Find out why the brokers cannot be used.

    Returns:
        The error to raise.
    """
    cause = await find_cause(settings)
    return KafkaSetupError(
        f"cannot use the Kafka brokers at {settings.bootstrap_servers} "
        f"({settings.security_protocol}): {cause or error!r}"
    )
