"""What aiokafka is told when it writes to a connection that uvloop has just closed."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from worker.kafka import connections
from worker.kafka.connections import adapt_connections


class ClosedWriter:
    """Behaves as a writer on a transport of uvloop that has been closed."""

    closed = False

    def write(self, _: bytes) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("times", [1, 2])
async def test_a_closed_transport_is_a_broken_connection(times: int) -> None:
    for _ in range(times):
        adapt_connections()
    connection = AIOKafkaConnection("127.0.0.1", 9092)
    writer = ClosedWriter()
    connection._reader, connection._writer = cast("Any", object()), cast("Any", writer)
    connection._read_task = asyncio.create_task(asyncio.Event().wait())
    connection._versions = {MetadataRequest.API_KEY: (0, 1)}
    with pytest.raises(KafkaConnectionError, match=r"127\.0\.0\.1:9092 broken"):
        await connection.send(MetadataRequest(None))
    assert writer.closed
    connection._writer = cast("Any", ClosedWriter())
    with pytest.raises(KafkaConnectionError, match="broken"):
        await connection._send_sasl_token(b"token")


async def test_what_a_broker_does_not_know_is_no_broken_connection() -> None:
    """aiokafka would connect and ask again, without end."""
    adapt_connections()
    connection = AIOKafkaConnection("127.0.0.1", 9092)
    writer = ClosedWriter()
    connection._writer = cast("Any", writer)
    with pytest.raises(IncompatibleBrokerVersion):
        connection.send(MetadataRequest(None))
    assert connection._writer is writer
    assert not writer.closed


async def test_a_client_that_is_given_up_while_it_begins_closes_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent:
        """A connection to a broker that does not answer."""

        closed = False
        asked = asyncio.Event()

        async def send(self, _: object) -> None:
            self.asked.set()
            await asyncio.Event().wait()

        def close(self) -> None:
            self.closed = True

    silent = Silent()

    async def create(*_: object, **__: object) -> Silent:
        return silent

    adapt_connections()
    monkeypatch.setattr(connections, "_create", create)
    client = AIOKafkaClient(bootstrap_servers="127.0.0.1:9092")
    beginning = asyncio.create_task(client.bootstrap())
    async with asyncio.timeout(30):
        await silent.asked.wait()
        beginning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beginning
    assert silent.closed
    await client.close()
