"""The errors that a failed producer of transactions leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

__all__ = ["retrieve_errors"]


def retrieve_errors(producer: AIOKafkaProducer) -> BaseException | None:
    """Take errors out of the futures that a failed producer sets and never awaits.

    asyncio would log each of them when it is collected.

    Returns:
        What ended the transaction, if aiokafka has ended it.
    """
    end = producer._txn_manager.wait_for_transaction_end()  # noqa: SLF001 - nothing else has them
    futures = [end]
    for batches in producer._message_accumulator._batches.values():  # noqa: SLF001 - likewise
        futures += [batch._drain_waiter for batch in batches]  # noqa: SLF001 - likewise
    for future in futures:
        if future is not None and future.done() and not future.cancelled():
            future.exception()
    over = end is not None and end.done() and not end.cancelled()
    ended: BaseException | None = end.exception() if over else None
    return ended
