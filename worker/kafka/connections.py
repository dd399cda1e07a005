"""aiokafka's connections on uvloop: one that was just closed is broken, and nothing worse.

Until a connection is known to be lost, asyncio's transports drop what is written to it; uvloop's
raise RuntimeError. aiokafka expects OSError alone: the task that keeps a client's metadata would
end, and the client would never find a coordinator again: nothing more would be committed.

A client that is given up while it begins closes its first connection. And what is long is not
copied on its way (`worker.kafka.frames`, `worker.kafka.gathered_requests`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import aiokafka.client
import aiokafka.conn
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

from worker.kafka.frames import FrameProtocol, read_frames
from worker.kafka.gathered_requests import send_gathered

__all__ = ["adapt_connections"]

_Send = Callable[..., Awaitable[Any]]


def adapt_connections() -> None:
    """Have all connections work like this. Calling it again does nothing."""
    AIOKafkaConnection.send = _send
    AIOKafkaConnection._send_sasl_token = _send_sasl_token  # noqa: SLF001 - the other way to write
    aiokafka.client.create_conn = _create_conn
    AIOKafkaClient.bootstrap = _bootstrap
    aiokafka.conn.AIOKafkaProtocol = FrameProtocol
    AIOKafkaConnection._read = staticmethod(read_frames)  # noqa: SLF001 - no other way


def _reporting(write: _Send) -> _Send:
    def reporting(
        connection: AIOKafkaConnection, *arguments: object, **options: object
    ) -> Awaitable[Any]:
        try:
            return write(connection, *arguments, **options)
        except KafkaError:
            raise  # nothing was written; it is a RuntimeError, too
        except (RuntimeError, OSError) as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            where = f"{connection.host}:{connection.port}"
            raise KafkaConnectionError(f"Connection at {where} broken: {error}") from error

    return reporting


_send = _reporting(send_gathered)
_send_sasl_token = _reporting(AIOKafkaConnection._send_sasl_token)  # noqa: SLF001 - likewise


_create = aiokafka.client.create_conn
_begin = AIOKafkaClient.bootstrap


class _Beginning:
    """A client that begins, and connections that it has in no other place yet."""

    def __init__(self) -> None:
        self.over = False
        self.connections: list[AIOKafkaConnection] = []


_beginning: ContextVar[_Beginning | None] = ContextVar("beginning", default=None)


async def _create_conn(*arguments: object, **options: object) -> AIOKafkaConnection:
    connection = await _create(*arguments, **options)
    beginning = _beginning.get()
    # Tasks that the client began meanwhile have this for as long as they live.
    if beginning is not None and not beginning.over:
        beginning.connections.append(connection)
    return connection


async def _bootstrap(client: AIOKafkaClient) -> None:
    beginning = _Beginning()
    token = _beginning.set(beginning)
    try:
        await _begin(client)
    except asyncio.CancelledError:
        for connection in beginning.connections:
            connection.close()
        raise
    finally:
        beginning.over = True
        beginning.connections.clear()
        _beginning.reset(token)
