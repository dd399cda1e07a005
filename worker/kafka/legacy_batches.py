"""Record batches of versions 0 and 1, which topics of brokers before Kafka 4 can still have.

aiokafka reads them. It inflates a batch all at once, so the inflated size is measured first: of all
that aiokafka's codecs read, which is every frame and member there is, one behind the other.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from aiokafka.errors import KafkaError
from aiokafka.record.legacy_records import LegacyRecordBatch

from worker.contract.records import Record
from worker.kafka.damage import ContentError, DamageError
from worker.kafka.inflate import CODEC_ERRORS, inflate

__all__ = ["LegacyBatch"]

_CRC = 12  # the checksum covers everything behind it
_MAGIC = 16
_ATTRIBUTES = 17
_KEY = {0: 18, 1: 26}  # version 1 has a timestamp before it
_CODEC = 0x07
_ERRORS = (
    KafkaError,
    AssertionError,
    LookupError,
    *CODEC_ERRORS,
    OSError,  # Python's gzip, as EOFError
    EOFError,
    SystemError,  # aiokafka, of a negative length
)


class LegacyBatch:
    """A message, or the wrapper of several that are compressed together.

    Attributes:
        base: offset of its first record, as far as that is known without inflating it.
        last: offset of its last record.
    """

    is_control = False
    is_transactional = False
    is_abort = False
    producer_id = -1

    def __init__(self, data: memoryview) -> None:
        magic = data[_MAGIC]
        if len(data) < _KEY[magic] + 8:
            raise DamageError("it is too short")
        self._data = data
        (crc,) = struct.unpack_from(">I", data, _CRC)
        if zlib.crc32(data[_MAGIC:]) != crc:
            raise DamageError("its checksum is wrong")
        self._codec = data[_ATTRIBUTES] & _CODEC
        (self.last,) = struct.unpack_from(">q", data)
        self.base = 0 if self._codec else self.last

    def records(self, topic: str, partition: int, start: int, limit: int) -> Iterator[Record]:
        """Read its records from offset `start` on.

        Args:
            start: offset of the first record to read.
            limit: most bytes to which it may be inflated.

        Yields:
            The records in order.

        Raises:
            ContentError: it cannot be read.
        """
        try:
            if self._codec:
                for _ in inflate(self._codec, self._payload(), limit):
                    pass
            # Not opened before: it reads the lengths of key and value, which may be wrong.
            for read in LegacyRecordBatch(self._data, self._data[_MAGIC]):
                if start <= read.offset <= self.last:
                    start = read.offset + 1
                    timestamp = -1 if read.timestamp is None else read.timestamp
                    yield Record(topic, partition, read.offset, timestamp, read.key, read.value, ())
        except _ERRORS as error:
            raise ContentError(f"its messages are damaged ({error})") from error

    def unreadable(self, topic: str, partition: int, start: int, why: str) -> Iterator[Record]:
        """Make unreadable records in place of those from `start` on.

        Args:
            start: the first offset.
            why: why they cannot be read.

        Yields:
            A record without key and value for each offset up to the batch's last.
        """
        for offset in range(start, self.last + 1):
            yield Record(topic, partition, offset, -1, None, None, (), unreadable=why)

    def _payload(self) -> memoryview:
        at = _KEY[self._data[_MAGIC]]
        (key,) = struct.unpack_from(">i", self._data, at)
        at += 4 + max(0, key)
        (length,) = struct.unpack_from(">i", self._data, at)
        return self._data[at + 4 : at + 4 + max(0, length)]
