"""Single record batches, put together by the test."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

__all__ = ["Content", "LatinName", "allow_odd_names", "send_batch"]

Content = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
"""A record's key, value and headers."""


class LatinName(str):
    """A header's name as a producer sends it that knows nothing of UTF-8."""

    __slots__ = ()

    def encode(self, encoding: str = "latin-1", errors: str = "strict") -> bytes:
        return super().encode("latin-1", errors)


def allow_odd_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let producers take `LatinName`: the builder in C takes no subclass of str."""
    for module in ("producer", "message_accumulator"):
        monkeypatch.setattr(
            f"aiokafka.producer.{module}.DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy
        )


async def send_batch(
    bootstrap_servers: str,
    topic: str,
    partition: int,
    records: Sequence[Content],
    compression: str | None = None,
) -> list[str]:
    """Send records as one batch; their ids once it is acknowledged."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        compression_type=compression,
        max_request_size=8 << 20,
        max_batch_size=1 << 40,
    )
    async with producer:
        batch = producer.create_batch()
        for key, value, headers in records:
            added = batch.append(key=key, value=value, timestamp=None, headers=list(headers))
            assert added is not None
        sent = await (await producer.send_batch(batch, topic, partition=partition))
    return [f"{topic}-{partition}-{sent.offset + number}" for number in range(len(records))]
