"""aiokafka's connections on uvloop: one that was just closed is broken, and nothing worse.

Until a connection is known to be lost, asyncio's transports drop what is written to it; uvloop's
raise RuntimeError. aiokafka expects OSError alone: the task that keeps a client's metadata would
end, and the client would never find a coordinator again: nothing more would be committed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

__all__ = ["report_closed_transports"]

_Send = Callable[..., Awaitable[Any]]


def report_closed_transports() -> None:
    """Have all connections report a closed transport. Calling it again does nothing."""
    AIOKafkaConnection.send = _send
    AIOKafkaConnection._send_sasl_token = _send_sasl_token  # noqa: SLF001 - the other way to write


def _reporting(write: _Send) -> _Send:
    def reporting(
        connection: AIOKafkaConnection, *arguments: object, **options: object
    ) -> Awaitable[Any]:
        try:
            return write(connection, *arguments, **options)
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            where = f"{connection.host}:{connection.port}"
            raise KafkaConnectionError(f"Connection at {where} broken: {error}") from error

    return reporting


_send = _reporting(AIOKafkaConnection.send)
_send_sasl_token = _reporting(AIOKafkaConnection._send_sasl_token)  # noqa: SLF001 - likewise
