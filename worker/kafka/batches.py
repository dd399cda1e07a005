"""Record batches as brokers store them, read leniently and within bounds.

aiokafka's own reader refuses a whole batch for one header name that is not UTF-8, and inflates a
batch at once, whatever its size. The format is documented at
https://kafka.apache.org/documentation/#recordbatch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from aiokafka.record.util import calc_crc32c

from worker.jobs import Record
from worker.kafka.damage import ContentError, DamageError, TooLargeError
from worker.kafka.inflate import inflate
from worker.kafka.legacy import LegacyBatch

__all__ = ["Batch", "LegacyBatch", "next_offset", "open_batch", "split"]

MAX_HEADERS = 1000
"""Most headers of a record: an empty one has two bytes on the wire and a hundred in memory."""

_FRAME = struct.Struct(">qiib")  # base offset, length of what follows, leader epoch, magic
_HEADER = struct.Struct(">qiibIhiqqqhii")
_LENGTH_END = 12
_CHECKED = 21  # the CRC covers everything from here on

_CODEC = 0x07
_LOG_APPEND_TIME = 0x08
_TRANSACTIONAL = 0x10
_CONTROL = 0x20
_ABORT = bytes(4)  # the key of an abort marker: version 0, type 0


def split(data: memoryview) -> Iterator[memoryview]:
    """The batches in what a fetch returned.

    A broker cuts its answer off where it gets too long, but never in the first batch.

    Raises:
        DamageError: the first batch is not whole, or no batch begins where one should.
    """
    at = 0
    while len(data) - at >= _FRAME.size:
        (length,) = struct.unpack_from(">i", data, at + 8)
        end = at + _LENGTH_END + length
        if end - at < _FRAME.size:
            raise DamageError(f"its length field says {length}")
        if end > len(data):
            break
        yield data[at:end]
        at = end
    if at == 0:
        raise DamageError("the batch is not whole")


def open_batch(data: memoryview) -> Batch | LegacyBatch:
    """The batch in one of `split`'s pieces, once its checksum is right.

    Raises:
        DamageError: its checksum is wrong, or it is no batch.
    """
    magic = data[_FRAME.size - 1]
    if magic == 2 and len(data) >= _HEADER.size:
        return Batch(data)
    if magic in (0, 1):
        return LegacyBatch(data)
    raise DamageError(f"its format version is {magic}")


def next_offset(data: memoryview) -> int | None:
    """The offset after a batch as its header has it, damaged or not; None if it has none."""
    if len(data) < _HEADER.size or data[_FRAME.size - 1] != 2:
        return None
    base, _, _, _, _, _, last, *_ = _HEADER.unpack_from(data)
    return int(base + last + 1)


class Batch:
    """One batch of version 2.

    Attributes:
        base: offset of its first record.
        last: offset of its last record, which compaction may have removed.
    """

    def __init__(self, data: memoryview) -> None:
        (
            self.base, _, _, _, crc, self._attributes, last, self._first_timestamp,
            self._max_timestamp, self.producer_id, _, _, self._count,
        ) = _HEADER.unpack_from(data)  # fmt: skip
        self.last = self.base + last
        self._data = data
        if calc_crc32c(data[_CHECKED:]) != crc:
            raise DamageError("its checksum is wrong")

    @property
    def is_control(self) -> bool:
        """Whether it holds a transaction's marker instead of records."""
        return bool(self._attributes & _CONTROL)

    @property
    def is_transactional(self) -> bool:
        """Whether it belongs to a producer's transaction."""
        return bool(self._attributes & _TRANSACTIONAL)

    @property
    def is_abort(self) -> bool:
        """Whether it is the marker that ends a transaction as aborted."""
        if not self.is_control:
            return False
        marker = next(self.records("", 0, self.base, len(self._data)), None)
        return marker is not None and marker.key == _ABORT

    def records(self, topic: str, partition: int, start: int, limit: int) -> Iterator[Record]:
        """Its records from offset `start` on, read one at a time.

        Args:
            limit: bytes that it may inflate to.

        Raises:
            ContentError: the rest of it cannot be read.
        """
        source = self._source(limit)
        expected = self.base
        for _ in range(self._count):
            body = source.take(source.varint())
            try:
                delta, timestamp, at = _begin(body)
            except IndexError:
                raise ContentError("a record is cut off") from None
            offset = self.base + delta
            if not expected <= offset <= self.last:
                raise ContentError(f"after offset {expected - 1} comes {offset}")
            expected = offset + 1
            if offset >= start:
                if self._attributes & _LOG_APPEND_TIME:
                    timestamp = self._max_timestamp
                else:
                    timestamp += self._first_timestamp
                yield _record((topic, partition, offset, timestamp), body, at)

    def unreadable(self, topic: str, partition: int, start: int, why: str) -> Iterator[Record]:
        """Stand-ins for its records from offset `start` on, of which nothing but that is known."""
        for offset in range(start, self.last + 1):
            yield Record(
                topic, partition, offset, self._max_timestamp, None, None, (), unreadable=why
            )

    def _source(self, limit: int) -> _Plain | _Inflating:
        body = self._data[_HEADER.size :]
        codec = self._attributes & _CODEC
        return _Inflating(inflate(codec, body, limit), limit) if codec else _Plain(body)


class _Plain:
    """Bytes that are there already; what is taken is not copied."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def varint(self) -> int:
        try:
            value, self._at = _varint(self._data, self._at)
        except IndexError:
            raise ContentError("records are missing") from None
        return value

    def take(self, count: int) -> memoryview:
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise ContentError("a record is cut off")
        taken = self._data[self._at : end]
        self._at = end
        return taken


class _Inflating:
    """Bytes that are inflated as they are asked for."""

    def __init__(self, pieces: Iterator[bytes], limit: int) -> None:
        self._pieces = pieces
        self._limit = limit
        self._buffer = bytearray()

    def varint(self) -> int:
        self._fill(_LONGEST_VARINT)
        try:
            value, end = _varint(self._buffer, 0)
        except IndexError:
            raise ContentError("records are missing") from None
        del self._buffer[:end]
        return value

    def take(self, count: int) -> bytes:
        if count > self._limit:
            raise TooLargeError(f"it inflates to more than {self._limit} bytes")
        self._fill(count)
        if not 0 <= count <= len(self._buffer):
            raise ContentError("a record is cut off")
        with memoryview(self._buffer) as view:
            taken = bytes(view[:count])
        del self._buffer[:count]
        return taken

    def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            piece = next(self._pieces, None)
            if piece is None:
                return
            self._buffer += piece


_Bytes = bytes | bytearray | memoryview
_LONGEST_VARINT = 10


def _varint(data: _Bytes, at: int) -> tuple[int, int]:
    """A zigzag number and where it ends.

    Raises:
        IndexError: the data end within it.
        ContentError: it has more than 64 bits.
    """
    byte = data[at]
    at += 1
    if byte < 0x80:  # nearly all are this short
        return (byte >> 1) ^ -(byte & 1), at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift >= 7 * _LONGEST_VARINT:
            raise ContentError("a number has more than 64 bits")


def _begin(body: _Bytes) -> tuple[int, int, int]:
    """A record's offset and timestamp, relative to the batch's, and where its contents begin."""
    timestamp, at = _varint(body, 1)  # after the attributes, of which none is in use
    offset, at = _varint(body, at)
    return offset, timestamp, at


def _record(place: tuple[str, int, int, int], body: _Bytes, at: int) -> Record:
    """The record in `body`, whose key begins at `at`; one that is damaged costs only itself."""
    key = value = None
    try:
        key, at = _field(body, at)
        value, at = _field(body, at)
        headers = _headers(body, at)
    except IndexError:
        return Record(*place, key, value, (), unreadable="the record is cut off")
    except ContentError as error:
        return Record(*place, key, value, (), unreadable=str(error))
    return Record(*place, key, value, headers)


def _headers(body: _Bytes, at: int) -> tuple[tuple[str, bytes], ...]:
    count, at = _varint(body, at)
    if count > MAX_HEADERS:
        raise ContentError(f"the record has {count} headers; send at most {MAX_HEADERS}")
    headers = []
    for _ in range(count):
        name, at = _field(body, at)
        content, at = _field(body, at)
        # To Kafka a name is bytes. What is not UTF-8 in it is spelled out, for it cannot be sent on
        # as it came: aiokafka's producer takes text.
        headers.append(((name or b"").decode("utf-8", "backslashreplace"), content))
    if at != len(body):
        raise ContentError("the record is longer than its contents")
    return tuple(headers)  # type: ignore[arg-type]  # a header's value may be null


def _field(body: _Bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _varint(body, at)
    if length < 0:
        return None, at
    end = at + length
    if end > len(body):
        raise ContentError("the record is cut off")
    return bytes(body[at:end]), end
