"""The batches of one partition that one fetch returned, read record by record."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

from aiokafka import TopicPartition

from worker.contract.records import Record
from worker.kafka.batches import Batch, LegacyBatch, next_offset, open_batch, split
from worker.kafka.damage import BeyondEndError, ContentError, Damage, DamageError, TooLargeError
from worker.logs import get_logger

__all__ = ["FetchedBatches"]

log = get_logger(__name__)


class FetchedBatches:
    """Batches of a partition, and how far they have been read.

    Args:
        data: batches as the broker sent them; the last one may be incomplete.
        position: the offset that was asked for.
        end: the partition's end, as the broker knew it just before it read the batches.
        aborted: transactions to skip, each as the producer's id and the first offset.
        batch_bytes: most bytes to which a compressed batch may be inflated.
        on_unreadable: called for each batch whose contents cannot be read.

    Attributes:
        position: the next offset to read.
        damage: why reading cannot go on, or None.
        finished: whether nothing is left to read. Then no bytes are held either.
        held: bytes held, those of the whole answer in which `data` stays with it.
        skipping: whether the last `take` ended while it skipped many records before `position`.
    """

    def __init__(
        self,
        partition: TopicPartition,
        data: bytes | memoryview,
        position: int,
        end: int,
        aborted: Iterable[tuple[int, int]],
        batch_bytes: int,
        on_unreadable: Callable[[], None] = lambda: None,
    ) -> None:
        self.position = position
        self.damage: Damage | None = None
        self.finished = False
        self.skipping = False
        self.held = memoryview(memoryview(data).obj).nbytes
        self._partition = partition
        self._end = end
        self._batch_bytes = batch_bytes
        self._on_unreadable = on_unreadable
        self._upcoming = sorted(aborted, key=lambda transaction: transaction[1])
        self._aborted: set[int] = set()
        self._batch = memoryview(b"")
        # The offset after the batch that is being read, if it is the last one; else None.
        self._stop: int | None = None
        self._records = self._read(memoryview(data))

    def take(self, most: int | None, nbytes: int | None) -> list[Record]:
        """Take the next records.

        Args:
            most: most records; None for no limit.
            nbytes: bytes of records after which no more are taken; None for no limit.

        Returns:
            Records in the order of their offsets; the last one may exceed `nbytes`.
        """
        taken: list[Record] = []
        size = 0
        self.skipping = False
        while not self.finished and (most is None or len(taken) < most):
            if nbytes is not None and size >= nbytes:
                break
            try:
                record = next(self._records)
            except StopIteration:
                self.close()
                break
            if record is None:
                self.skipping = True
                break
            taken.append(record)
            size += record.size
            # Closed with the last record, not by the next call, which may come much later: all
            # bytes would be held until then.
            if self.position == self._stop:
                self.close()
        return taken

    def close(self) -> None:
        """Release all bytes."""
        self.finished = True
        self.held = 0
        self._batch = memoryview(b"")
        self._records.close()

    def _read(self, data: memoryview) -> Generator[Record | None]:
        try:
            yield from self._read_all(data)
        except DamageError as error:
            follows = next_offset(self._batch)
            if follows is not None and not self.position < follows <= self._end:
                follows = None
            self.damage = Damage(
                self._partition,
                self.position,
                follows,
                str(error),
                isinstance(error, BeyondEndError),
            )

    def _read_all(self, data: memoryview) -> Generator[Record | None]:
        began, rest = self.position, len(data)
        for self._batch in split(data):
            rest -= len(self._batch)
            opened = open_batch(self._batch)
            if opened.last >= self._end:
                raise BeyondEndError(f"it claims offset {opened.last}; the partition ends before")
            if opened.last < self.position:
                continue
            if not self._is_skipped(opened):
                self._stop = None if rest else opened.last + 1
                yield from self._read_batch(opened)
            self.position = opened.last + 1
        if self.position == began:
            raise DamageError("the broker sends other offsets")

    def _read_batch(self, batch: Batch | LegacyBatch) -> Generator[Record | None]:
        topic, partition = self._partition
        try:
            for record in batch.records(topic, partition, self.position, self._batch_bytes):
                if record is not None:
                    self.position = record.offset + 1
                yield record
        except ContentError as error:
            self._on_unreadable()
            log.error(
                "batch_unreadable",
                topic=topic,
                partition=partition,
                first_offset=self.position,
                last_offset=batch.last,
                error=str(error),
            )
            for record in batch.unreadable(topic, partition, self.position, _sentence(error)):
                self.position = record.offset + 1
                yield record

    def _is_skipped(self, batch: Batch | LegacyBatch) -> bool:
        """Whether a batch is a marker, or belongs to a transaction that was aborted."""
        while self._upcoming and self._upcoming[0][1] <= batch.base:
            self._aborted.add(self._upcoming.pop(0)[0])
        if batch.is_control:
            if batch.is_abort:
                self._aborted.discard(batch.producer_id)
            return True
        return batch.is_transactional and batch.producer_id in self._aborted


def _sentence(error: ContentError) -> str:
    if isinstance(error, TooLargeError):
        return (
            f"the record cannot be read, because of its compressed batch: {error} "
            "(kafka.batch_max_bytes); send smaller batches"
        )
    return f"the record cannot be read, because of its batch: {error}; send it again"
