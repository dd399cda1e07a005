"""Finds dead letters: those that a filter means, the newest of them, or one by its name."""

from __future__ import annotations

import heapq
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from worker.contract.letters import DeadLetter, read_letter
from worker.contract.records import Record
from worker.dead_letters.filters import Filter
from worker.kafka.letter_topic import LetterTopic

__all__ = ["Found", "find_letter", "find_letters", "find_newest", "narrowed"]

FIRST_WINDOW = 200
"""Letters of a partition that are looked at first for the newest ones; then ten times as many."""

_PLACE = re.compile(r"(?:(.+)-)?(\d+)-(\d+)", re.DOTALL)

Advanced = Callable[[int], None]


async def narrowed(topic: LetterTopic, chosen: Filter) -> dict[int, tuple[int, int]]:
    """Narrow down where letters can be, by partition, offset and time.

    Returns:
        First offset and end by partition. Before the first one no letter was written at
        `since_ms` or later. Times need not ascend, so the end is not narrowed by `until_ms`.

    Raises:
        SettingsError: the topic lacks a partition that is named.
        KafkaSetupError: the brokers do not answer.
    """
    topic.check_partitions(chosen.place.partitions)
    ranges = chosen.place.ranges(topic.bounds)
    if chosen.place.since_ms is not None:
        first = await topic.offsets_at(chosen.place.since_ms)
        ranges = {
            number: (max(begin, first[number]), end) for number, (begin, end) in ranges.items()
        }
    return ranges


async def find_letters(
    topic: LetterTopic,
    chosen: Filter,
    ranges: Mapping[int, tuple[int, int]],
    advanced: Advanced = lambda _: None,
) -> AsyncGenerator[DeadLetter]:
    """Find what a filter means, one letter in memory at a time.

    Args:
        advanced: called with the number of letters looked at.

    Yields:
        The letters, in the order of their offsets within each partition.

    Raises:
        KafkaSetupError: the topic cannot be read.
    """
    seen = 0
    async with aclosing(topic.read(ranges)) as records:
        async for record in records:
            seen += 1
            letter = read_letter(record)
            if chosen.match(letter):
                yield letter
            advanced(seen)


async def find_newest(
    topic: LetterTopic,
    chosen: Filter,
    ranges: Mapping[int, tuple[int, int]],
    count: int,
    advanced: Advanced = lambda _: None,
) -> list[DeadLetter]:
    """Find the newest letters that a filter means, from the ends of the partitions backwards.

    Newest of a partition are those with the highest offsets.

    Returns:
        At most `count` letters, the newest first.

    Raises:
        KafkaSetupError: the topic cannot be read.
    """
    found: dict[int, list[DeadLetter]] = {number: [] for number in ranges}
    ends = {number: end for number, (begin, end) in ranges.items() if begin < end}
    window = max(FIRST_WINDOW, 2 * count)
    seen = 0
    while ends:
        parts = {
            number: (max(ranges[number][0], end - window), end) for number, end in ends.items()
        }
        newer: dict[int, list[DeadLetter]] = {number: [] for number in parts}
        async with aclosing(find_letters(topic, chosen, parts)) as letters:
            async for letter in letters:
                seen += 1
                newer[letter.partition].append(letter)
                del newer[letter.partition][:-count]
                advanced(seen)
        for number, part in newer.items():
            found[number] = [*part, *found[number]][-count:]
        ends = {
            number: begin
            for number, (begin, _) in parts.items()
            if begin > ranges[number][0] and len(found[number]) < count
        }
        window *= 10
    every = (letter for letters_of in found.values() for letter in letters_of)
    return heapq.nlargest(count, every, key=_age)


@dataclass(frozen=True, slots=True)
class Found:
    """One letter that was asked for.

    Attributes:
        letter: what it says.
        record: the letter as it was read.
        others: how many more go by that name; this is the newest.
    """

    letter: DeadLetter
    record: Record
    others: int


async def find_letter(
    topic: LetterTopic, own_topic: str, name: str, advanced: Advanced = lambda _: None
) -> Found | None:
    """Find one letter.

    Args:
        own_topic: the name of the dead-letter topic.
        name: the letter's place, `topic-partition-offset` or `partition-offset`; or the id of its
            record, which is the result's too; or its job's id.

    Returns:
        The letter; None if there is none.

    Raises:
        KafkaSetupError: the topic cannot be read.
    """
    place = _PLACE.fullmatch(name)
    if place is not None and place[1] in (None, own_topic):
        partition, offset = int(place[2]), int(place[3])
        begin, end = topic.bounds.get(partition, (0, 0))
        if begin <= offset < end:
            async with aclosing(topic.read({partition: (offset, offset + 1)})) as records:
                async for record in records:
                    return Found(read_letter(record), record, 0)
    newest: tuple[DeadLetter, Record] | None = None
    count = seen = 0
    async with aclosing(topic.read(topic.bounds)) as records:
        async for record in records:
            seen += 1
            advanced(seen)
            letter = read_letter(record)
            if name in (letter.source_id, letter.job_id):
                count += 1
                if newest is None or _age(letter) > _age(newest[0]):
                    newest = letter, record
    return None if newest is None else Found(*newest, count - 1)


def _age(letter: DeadLetter) -> tuple[int, int, int]:
    return letter.timestamp_ms, letter.partition, letter.offset
