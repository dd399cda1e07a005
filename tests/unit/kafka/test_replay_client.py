"""A replay that another one stops while it sends says so."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced

from worker.contract.records import Message
from worker.errors import KafkaSetupError
from worker.kafka.replay_client import ReplayClient, Restored
from worker.settings import KafkaSettings, PublishSettings

RECORDS = [Restored("jobs", 0, Message(None, b"value", ()))]


class Fenced:
    """A producer that is fenced when it sends; aiokafka raises `raised` then."""

    def __init__(self, raised: Exception) -> None:
        self.raised = raised
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._txn_manager = SimpleNamespace(wait_for_transaction_end=lambda: self.ended)
        self._message_accumulator = SimpleNamespace(_batches={})

    async def begin_transaction(self) -> None:
        """It is not known yet."""

    async def send(self, *message: object, **more: object) -> None:
        self.ended.set_exception(ProducerFenced())
        raise self.raised

    async def abort_transaction(self) -> None:
        raise AssertionError  # there is nothing to abort


@pytest.mark.parametrize("raised", [IllegalOperation(), AssertionError(), ProducerFenced()])
async def test_a_replay_that_is_stopped_while_it_sends_says_so(raised: Exception) -> None:
    client = ReplayClient(KafkaSettings(), PublishSettings(), "letters")
    client._producer = cast("Any", Fenced(raised))
    with pytest.raises(KafkaSetupError, match="another replay with the group letters has begun"):
        await client.put_back(RECORDS, {0: (1, "")})


async def test_a_defect_is_no_error_of_kafkas() -> None:
    client = ReplayClient(KafkaSettings(), PublishSettings(), "letters")
    client._producer = cast("Any", Fenced(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        await client.put_back(RECORDS, {0: (1, "")})
    assert not issubclass(IllegalOperation, KafkaError), "else all this is not needed"
