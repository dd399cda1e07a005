"""Record batches as this worker sends them: uncompressed, put together once, checked by hardware.

aiokafka's own builder copies each record three times, and computes the checksum with tables: of a
result with a picture that takes five times as long as this. The format is documented at
https://kafka.apache.org/documentation/#recordbatch; `worker.kafka.batches` reads it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

import google_crc32c
from aiokafka.producer.message_accumulator import BatchBuilder

from worker.kafka.gathered_requests import BatchBytes

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

__all__ = ["RecordBatch", "send_plain_batches"]

_BEFORE_CHECKSUM = struct.Struct(">qiibI")  # base offset, length, leader epoch, magic, checksum
_CHECKED = struct.Struct(">hiqqqhii")
_HEADER_SIZE = _BEFORE_CHECKSUM.size + _CHECKED.size
_BEFORE_LENGTH_END = 12
_TRANSACTIONAL = 0x10
_ONE_BYTE = tuple(bytes([number]) for number in range(0x80))
_SHORT = _ONE_BYTE[::2]  # lengths up to 63
_NONE = _ONE_BYTE[1]  # the length -1

_USUAL_NAME = 64
"""Characters of a header's name up to which it is kept. Dead letters have their records' headers,
whose names may be as long as a record: hundreds of those would fill the memory."""

Headers = Sequence[tuple[str, bytes | None]]


def send_plain_batches(producer: AIOKafkaProducer) -> None:
    """Have a producer make its batches here, uncompressed."""
    accumulator = producer._message_accumulator  # noqa: SLF001 - no other way
    is_transactional = producer._txn_manager is not None and bool(  # noqa: SLF001 - likewise
        producer._txn_manager.transactional_id  # noqa: SLF001 - likewise
    )
    accumulator.create_builder = partial(
        RecordBatch,
        accumulator._batch_size,  # noqa: SLF001 - likewise
        is_transactional=is_transactional,
    )


class _Appended(NamedTuple):
    """What aiokafka wants to know of a record."""

    offset: int
    timestamp: int
    size: int


class RecordBatch(BatchBuilder):  # type: ignore[misc]  # aiokafka is untyped
    """A batch of version 2, to which records are added until it is sent.

    Args:
        batch_size: it has fewer bytes; but the first record is added whatever its size.
        is_transactional: whether it belongs to a transaction.
    """

    def __init__(self, batch_size: int, *, is_transactional: bool) -> None:
        super().__init__(batch_size, 0)
        self._builder = _Records(batch_size, is_transactional=is_transactional)

    def _set_producer_state(
        self, producer_id: int, producer_epoch: int, base_sequence: int
    ) -> None:
        self._builder.producer = (producer_id, producer_epoch, base_sequence)


class _Records:
    """The records of one batch; has what aiokafka's `BatchBuilder` calls.

    Attributes:
        producer: id, epoch and first sequence number.
    """

    def __init__(self, batch_size: int, *, is_transactional: bool) -> None:
        self.producer = (-1, -1, 0)
        self._batch_size = batch_size
        self._attributes = _TRANSACTIONAL if is_transactional else 0
        self._pieces: list[bytes] = []
        self._size = _HEADER_SIZE
        self._count = 0
        self._first_timestamp = self._max_timestamp = 0

    def size(self) -> int:
        """Bytes so far."""
        return self._size

    def append(
        self,
        offset: int,
        timestamp: int | None,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
    ) -> _Appended | None:
        """Add a record.

        Args:
            offset: its number in the batch.
            timestamp: milliseconds since the epoch; None for now.

        Returns:
            What it became; None if the batch has no room for it.
        """
        if timestamp is None:
            timestamp = int(time.time() * 1000)
        first = timestamp if self._count == 0 else self._first_timestamp
        # An attributes byte, which is unused, comes first.
        before = [b"\x00", _number(timestamp - first), _number(offset)]
        if key is None:
            before.append(_NONE)
        else:
            before += (_number(len(key)), key)
        before.append(_NONE if value is None else _number(len(value)))
        after = [_number(len(headers))]
        for name, content in headers:
            after.append(_usual_name(name) if len(name) <= _USUAL_NAME else _name(name))
            if content is None:
                after.append(_NONE)
                continue
            length = len(content)
            after += (_SHORT[length] if length < len(_SHORT) else _number(length), content)
        begin, value, end = b"".join(before), value or b"", b"".join(after)
        length = len(begin) + len(value) + len(end)
        begin = _number(length) + begin
        size = len(begin) + len(value) + len(end)
        if self._count and self._size + size >= self._batch_size:
            return None
        self._first_timestamp = first
        self._max_timestamp = max(first, self._max_timestamp, timestamp)
        self._pieces += (begin, value, end)
        self._size += size
        self._count += 1
        return _Appended(offset, timestamp, size)

    def build(self) -> BatchBytes:
        """Put the batch together.

        Returns:
            Its bytes.
        """
        checked = _CHECKED.pack(
            self._attributes,
            self._count - 1,
            self._first_timestamp,
            self._max_timestamp,
            *self.producer,
            self._count,
        )
        checksum: int = google_crc32c.value(checked)
        for piece in self._pieces:
            checksum = google_crc32c.extend(checksum, piece)
        # The brokers set the base offset, and know the leader's epoch.
        begin = _BEFORE_CHECKSUM.pack(0, self._size - _BEFORE_LENGTH_END, -1, 2, checksum)
        return BatchBytes((begin, checked, *self._pieces))


def _name(name: str) -> bytes:
    """Encode a header's name, behind its length."""
    encoded = name.encode()
    return _number(len(encoded)) + encoded


# Results have the same few again and again.
_usual_name = lru_cache(maxsize=256)(_name)


def _number(value: int) -> bytes:
    """Encode a number as a zigzag varint."""
    rest = value << 1 if value >= 0 else (-value << 1) - 1
    if rest < 0x80:  # nearly all are this short
        return _ONE_BYTE[rest]
    encoded = bytearray()
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)
