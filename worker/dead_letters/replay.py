"""Puts the records of chosen dead letters back on their topics, each at most once."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from worker.clock import SYSTEM_CLOCK
from worker.contract.letters import DeadLetter, read_letter, restored_message
from worker.contract.records import Record
from worker.dead_letters.filters import Conditions, Filter
from worker.dead_letters.memory import PartitionProgress, Replayed
from worker.dead_letters.pace import Pace
from worker.errors import KafkaSetupError
from worker.kafka.destinations import Destination
from worker.kafka.letter_topic import LetterTopic
from worker.kafka.replay_client import RefusedError, Restored

__all__ = ["Client", "Replay", "ReplayOptions", "Topics", "read_memory"]

MAX_BATCH = 100
MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Most records, and bytes after which no more are added, of one transaction."""

MAX_NOTES = 10_000
"""Letters after which a transaction ends, even if few of them are put back."""

OVERHEAD = 512
"""Bytes that a batch has besides its records' contents, for the check against a topic's limit."""


class Client(Protocol):
    """What puts records back: a `worker.kafka.replay_client.ReplayClient`."""

    async def put_back(
        self, records: Sequence[Restored], positions: Mapping[int, tuple[int, str]]
    ) -> None:
        """Put records back and commit positions, or neither."""


class Topics(Protocol):
    """What knows the topics that records go back to: `worker.kafka.destinations.Destinations`."""

    async def find(self, topic: str) -> Destination | None:
        """Ask for the state of a topic."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to replay, and how.

    Attributes:
        chosen: which letters.
        max_attempts: letters whose record was put back so often already are left alone.
        limit: most records to put back; None for all.
        rate: most records a second; None for no limit.
        one_by_one: each record with a commit of its own, for a client without transactions.
    """

    chosen: Filter
    max_attempts: int = 5
    limit: int | None = None
    rate: float | None = None
    one_by_one: bool = False


@dataclass(frozen=True, slots=True)
class _Note:
    """A letter that was read: what it means for the memory, and its record if it is to go back."""

    letter: DeadLetter
    done: bool
    chosen: bool
    record: Restored | None = None


@dataclass(slots=True)
class _Batch:
    notes: list[_Note] = field(default_factory=list)
    records: int = 0
    size: int = 0

    def add(self, note: _Note) -> None:
        self.notes.append(note)
        if note.record is not None:
            self.records += 1
            self.size += note.record.message.size


class Replay:
    """One run over the topic.

    Args:
        topics: those that records go back to.
        client: None for a dry run, which puts nothing back and commits nothing.
        put_back: called with each letter whose record is back, or would be.
        failed: called with each letter that was chosen and whose record cannot be put back, and
            why.
        advanced: called with the number of offsets read so far.

    Attributes:
        counts: `replayed`, `already` (replayed earlier), `left` (`max_attempts`), `failed` (the
            record cannot be put back).
    """

    def __init__(
        self,
        topic: LetterTopic,
        topics: Topics,
        client: Client | None,
        options: ReplayOptions,
        memory: Mapping[int, Replayed],
        *,
        put_back: Callable[[DeadLetter], None],
        failed: Callable[[DeadLetter, str], None],
        advanced: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._topic = topic
        self._topics = topics
        self._client = client
        self._options = options
        self._memory = memory
        self._put_back = put_back
        self._failed = failed
        self._advanced = advanced
        self._pace = Pace(options.rate if client is not None else None, SYSTEM_CLOCK)
        most = 1 if options.one_by_one else MAX_BATCH
        self._most = self._pace.batch_size(most)
        chosen = options.chosen.conditions
        self._conditions = Conditions(chosen.accepted, options.max_attempts)
        self._progress: dict[int, PartitionProgress] = {}
        self.counts: Counter[str] = Counter()

    async def run(self, ranges: Mapping[int, tuple[int, int]]) -> None:
        """Replay what is chosen in `ranges`.

        Raises:
            KafkaSetupError: Kafka cannot be used any longer, or a letter's topic does not exist.
            MemoryFullError: what was replayed cannot be remembered.
        """
        self._progress = {
            number: PartitionProgress(
                self._memory.get(number, Replayed()),
                self._conditions,
                self._topic.bounds[number][0],
                start,
            )
            for number, (start, _) in ranges.items()
        }
        batch, scanned, taken = _Batch(), 0, 0
        try:
            async with aclosing(self._topic.read(ranges)) as records:
                async for record in records:
                    scanned += 1
                    note = await self._judge(record)
                    taken += note.record is not None
                    batch.add(note)
                    if self._is_full(batch) or taken == self._options.limit:
                        batch, full = _Batch(), batch
                        await self._put(full)
                    self._advanced(scanned)
                    if taken == self._options.limit:
                        break
        except KafkaSetupError:
            # What was read before the fault is not at fault.
            await self._put(batch)
            raise
        await self._put(batch)
        await self._renew()

    async def _judge(self, record: Record) -> _Note:
        letter = read_letter(record)
        chosen = self._options.chosen
        if not chosen.place.match(letter):
            return _Note(letter, done=letter.unfit is not None, chosen=False)
        if not chosen.conditions.match(letter):
            return _Note(letter, done=letter.unfit is not None, chosen=True)
        if letter.unfit is not None:
            self._fail(letter, letter.unfit)
            return _Note(letter, done=True, chosen=True)
        if letter in self._memory.get(letter.partition, Replayed()):
            self.counts["already"] += 1
            return _Note(letter, done=True, chosen=True)
        if letter.replays >= self._options.max_attempts:
            self.counts["left"] += 1
            return _Note(letter, done=False, chosen=True)
        return await self._restored(letter, record)

    async def _restored(self, letter: DeadLetter, record: Record) -> _Note:
        """Make the record that goes back, for the partition that it came from if that exists."""
        message, partition = restored_message(record), letter.source_partition
        destination = await self._topics.find(letter.source_topic)
        if destination is None:
            why = (
                f"came from topic {letter.source_topic}, which does not exist, or which this user "
                "may not see: create it, or replay the letters of other topics with --source-topic"
            )
            if self._client is not None:
                raise KafkaSetupError(f"letter {letter.id} {why}")
            # A dry run is to say all that stands in the way.
            self._fail(letter, why)
            return _Note(letter, done=False, chosen=False)
        limit = destination.max_bytes
        if limit is not None and message.size > limit - OVERHEAD:
            self._fail(
                letter,
                f"the record has {message.size} bytes, and topic {letter.source_topic} takes "
                f"{limit} (max.message.bytes)",
            )
            return _Note(letter, done=False, chosen=False)
        if partition is not None and not 0 <= partition < destination.partitions:
            partition = None
        restored = Restored(letter.source_topic, partition, message)
        return _Note(letter, done=True, chosen=True, record=restored)

    def _is_full(self, batch: _Batch) -> bool:
        return (
            batch.records >= self._most
            or batch.size >= MAX_BATCH_BYTES
            or len(batch.notes) >= MAX_NOTES
        )

    async def _put(self, batch: _Batch) -> None:
        """Put a batch's records back and remember them, or those of them that are not refused."""
        if not batch.records or self._client is None:
            self._remember(batch.notes, self._progress)
            self._count(batch.notes)
            return
        await self._pace.wait(batch.records)
        touched = {note.letter.partition for note in batch.notes}
        after = {number: copy.deepcopy(self._progress[number]) for number in touched}
        self._remember(batch.notes, after)
        positions = {number: progress.written() for number, progress in after.items()}
        records = [note.record for note in batch.notes if note.record is not None]
        try:
            await self._client.put_back(records, positions)
        except RefusedError as error:
            if batch.records > 1:
                for part in _split(batch.notes):
                    await self._put(part)
                return
            self._remember(self._refused(batch.notes, error), self._progress)
            return
        self._progress |= after
        self._count(batch.notes)

    def _refused(self, notes: Iterable[_Note], error: RefusedError) -> Iterator[_Note]:
        for note in notes:
            if note.record is None:
                yield note
            else:
                self._fail(note.letter, f"topic {note.letter.source_topic} refuses it: {error}")
                yield _Note(note.letter, done=False, chosen=False)

    async def _renew(self) -> None:
        """Commit once more what is remembered: brokers forget offsets that are not renewed."""
        if self._client is None:
            return
        positions = {number: progress.written() for number, progress in self._progress.items()}
        for number, memory in self._memory.items():
            positions.setdefault(number, memory.written(self._topic.bounds[number][0]))
        if positions:
            await self._client.put_back([], positions)

    def _remember(self, notes: Iterable[_Note], progress: Mapping[int, PartitionProgress]) -> None:
        for note in notes:
            letter = note.letter
            progress[letter.partition].note(letter.offset, done=note.done, chosen=note.chosen)

    def _count(self, notes: Iterable[_Note]) -> None:
        for note in notes:
            if note.record is not None:
                self.counts["replayed"] += 1
                self._put_back(note.letter)

    def _fail(self, letter: DeadLetter, why: str) -> None:
        self.counts["failed"] += 1
        self._failed(letter, why)


async def read_memory(topic: LetterTopic, group: str) -> dict[int, Replayed]:
    """Read which letters were replayed.

    Returns:
        The memory of each partition that has one.

    Raises:
        KafkaSetupError: the group may not be read, or it is another program's.
    """
    memory: dict[int, Replayed] = {}
    for number, (offset, metadata) in (await topic.committed(group)).items():
        if offset < 0:
            continue
        try:
            memory[number] = Replayed.read(offset, metadata)
        except ValueError as error:
            raise KafkaSetupError(
                f"the offsets of group {group} were not committed by this version of replay "
                f"({error}): name another --group"
            ) from error
    return memory


def _split(notes: Iterable[_Note]) -> Iterator[_Batch]:
    """Split notes behind each that has a record."""
    batch = _Batch()
    for note in notes:
        batch.add(note)
        if note.record is not None:
            yield batch
            batch = _Batch()
    yield batch
