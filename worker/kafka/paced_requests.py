"""Produce requests that are apart, so that each takes more results along.

A request costs the event loop and the broker about as much whether it has one result or eight.
aiokafka's own `linger_ms` delays the first result after a pause too, and each partition's results
by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from aiokafka.producer.sender import Sender, SendProduceReqHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import AIOKafkaProducer

__all__ = ["pace_requests"]


def pace_requests(producer: AIOKafkaProducer, pace: Callable[[], float]) -> None:
    """Have a producer begin requests to one broker at distances; one after a pause goes at once.

    A batch that is full is not kept waiting either: more would come than requests can take along.

    Args:
        pace: tells how many seconds are to be between the last one's begin and the next one's.
    """
    sender = producer._sender  # noqa: SLF001 - aiokafka has no other way
    sender._send_produce_req = partial(_send, sender, pace)  # noqa: SLF001 - likewise


async def _send(
    sender: Sender, pace: Callable[[], float], node: int, batches: Mapping[Any, Any]
) -> None:
    """Send batches as `Sender._send_produce_req` does it; its broker gets no others meanwhile."""
    began = asyncio.get_running_loop().time()
    await SendProduceReqHandler(sender, batches).do(node)
    for partition in batches:
        # Not after the pause: another broker may lead it by now.
        sender._muted_partitions.remove(partition)  # noqa: SLF001 - likewise
    if seconds := pace():
        with suppress(TimeoutError):
            async with asyncio.timeout_at(began + seconds):
                await _full(sender, node)
    sender._in_flight.remove(node)  # noqa: SLF001 - likewise


async def _full(sender: Sender, node: int) -> None:
    """Wait until a batch for a broker is full."""
    accumulator = sender._message_accumulator  # noqa: SLF001 - likewise
    leader = sender.client.cluster.leader_for_partition
    while not any(
        waiting and waiting[0]._builder.closed() and leader(partition) == node  # noqa: SLF001 - likewise
        for partition, waiting in accumulator._batches.items()  # noqa: SLF001 - likewise
    ):
        changed = accumulator.waiter()
        if changed.done():
            # The sender has not taken note: it looks for a leader, and nobody would tell of more.
            return
        await asyncio.wait([changed])
