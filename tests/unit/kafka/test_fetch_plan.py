"""Each partition has its turn in a fetch, and is asked for as much as its next batch needs."""

from __future__ import annotations

from itertools import cycle
from random import Random

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from worker.kafka.fetch_plan import FetchPlan

SHARE, MOST, ROOM = 1000, 8000, 6000
JOBS = [TopicPartition("jobs", number) for number in range(4)]
LATER = TopicPartition("later", 0)


def asked(plan: FetchPlan, *partitions: TopicPartition) -> dict[TopicPartition, int]:
    """What is asked for, in the order of the request."""
    topics: dict[str, list[tuple[int, int, int]]] = {}
    for topic, number in partitions:
        topics.setdefault(topic, []).append((number, 70 + number, SHARE))
    arranged = plan.arrange(list(topics.items()), MOST)
    assert all(offset == 70 + number for _, each in arranged for number, offset, _ in each)
    assert len({topic for topic, _ in arranged}) == len(arranged)
    return {
        TopicPartition(topic, number): nbytes
        for topic, each in arranged
        for number, _, nbytes in each
    }


def test_of_a_partition_of_which_nothing_is_known_its_share_is_asked_for() -> None:
    assert asked(FetchPlan(), *JOBS) == dict.fromkeys(JOBS, SHARE)


def came(plan: FetchPlan, *partitions: TopicPartition) -> None:
    """Of these came batches, in one answer."""
    for partition in partitions:
        plan.note_came(partition, 10, first=partition == partitions[0])


def test_the_partition_that_has_had_nothing_for_longest_comes_first() -> None:
    plan = FetchPlan()
    came(plan, JOBS[2], JOBS[0], JOBS[3])
    assert list(asked(plan, *JOBS)) == [JOBS[number] for number in (1, 2, 0, 3)]
    came(plan, JOBS[2])
    assert list(asked(plan, *JOBS)) == [JOBS[number] for number in (1, 0, 3, 2)]


def test_those_that_are_equal_stay_as_they_were() -> None:
    assert list(asked(FetchPlan(), *reversed(JOBS))) == JOBS[::-1]


def test_a_topics_turn_is_over_when_it_had_the_first_batch_of_an_answer() -> None:
    plan = FetchPlan()
    came(plan, JOBS[0], LATER)
    assert list(asked(plan, *JOBS[1::-1], LATER)) == [LATER, *JOBS[1::-1]]
    came(plan, JOBS[1])
    assert list(asked(plan, *JOBS[1::-1], LATER)) == [LATER, *JOBS[:2]]
    came(plan, LATER, JOBS[0])
    assert list(asked(plan, *JOBS[1::-1], LATER)) == [*JOBS[1::-1], LATER]


def test_a_partition_that_never_has_anything_puts_its_topic_before_no_other() -> None:
    plan = FetchPlan()
    for _ in range(3):
        came(plan, JOBS[0])
        # Nor while what its topic has had last is still to be polled, and not asked for.
        assert list(asked(plan, *JOBS[1:], LATER)) == [LATER, *JOBS[1:]]
        assert list(asked(plan, *JOBS, LATER)) == [LATER, *JOBS[1:], JOBS[0]]


class Broker:
    """Answers as KIP-74 has it, of backlogs that never end.

    Args:
        backlogs: of each partition the sizes of its batches, which come again and again; none if it
            never has anything.
        least: bytes that are asked for at least, of at most `ROOM`.
        holds: how likely what came to a partition is still to be polled at the next fetch.
    """

    def __init__(
        self, backlogs: dict[TopicPartition, list[int]], least: int, holds: float, chance: Random
    ) -> None:
        self._batches = {partition: cycle(sizes) for partition, sizes in backlogs.items() if sizes}
        self._next = {partition: next(sizes) for partition, sizes in self._batches.items()}
        self._backlogs = backlogs
        self._least, self._holds = least, holds
        self._chance = chance
        self._held: set[TopicPartition] = set()
        self._plan = FetchPlan()
        self.waited = dict.fromkeys(self._next, 0)
        """Answers with batches, of those that a partition has, since it last had one."""

    def fetch(self) -> None:
        """Ask for all of which nothing is held."""
        partitions = [partition for partition in self._backlogs if partition not in self._held]
        self._chance.shuffle(partitions)
        wanted = asked(self._plan, *partitions)
        room = self._chance.randint(self._least, ROOM)
        left = room
        waiting, sent = [partition for partition in wanted if partition in self._next], 0
        for partition in waiting:
            most = min(wanted[partition], left)
            batch = self._next[partition]
            if batch <= most or not sent:
                self._send(partition, max(most, batch), first=not sent)
                # What is left of this many bytes is the beginning of a batch.
                sent += max(most, batch)
                left = max(0, room - sent)
            else:
                self.waited[partition] += 1
                if sent + wanted[partition] <= room:
                    self._plan.note_too_large(partition, wanted[partition])
        self._held = {
            partition
            for partition, waited in self.waited.items()
            if not waited and self._chance.random() < self._holds
        }

    def _send(self, partition: TopicPartition, nbytes: int, *, first: bool) -> None:
        self._plan.note_came(partition, self._next[partition], first=first)
        self.waited[partition] = 0
        while self._next[partition] <= nbytes:
            nbytes -= self._next[partition]
            self._next[partition] = next(self._batches[partition])


SMALL, LARGE = st.integers(1, SHARE), st.integers(ROOM, 5 * MOST)
BACKLOGS = st.lists(SMALL | LARGE, max_size=2)
TOPICS = st.lists(st.lists(BACKLOGS, min_size=1, max_size=3), min_size=1, max_size=3)
RETRIES = [[], [SHARE // 10], [], [5 * MOST]]
"""A retry topic: of its partitions few have anything at a time."""


@given(
    TOPICS,
    st.integers(0, 1),
    st.sampled_from((ROOM, 1)),
    st.sampled_from((0.0, 0.2)),
    st.randoms(use_true_random=False),
)
def test_whatever_others_have_each_partition_has_its_turn(
    backlogs: list[list[list[int]]], retry_topics: int, least: int, holds: float, chance: Random
) -> None:
    topics = dict(enumerate([*backlogs, *[RETRIES] * retry_topics]))
    broker = Broker(
        {
            TopicPartition(f"topic-{topic}", number): sizes
            for topic, partitions in topics.items()
            for number, sizes in enumerate(partitions)
        },
        least,
        holds,
        chance,
    )
    for _ in range(60):
        broker.fetch()
        for partition, waited in broker.waited.items():
            its = topics[int(partition.topic.removeprefix("topic-"))]
            assert waited < sum(map(any, topics.values())) * sum(map(any, its))


@pytest.mark.parametrize("seed", range(10))
def test_of_two_topics_with_backlogs_both_have_their_large_batches(seed: int) -> None:
    large, small = 5 * MOST, 100
    broker = Broker(
        {
            TopicPartition(topic, number): [small if number else large]
            for topic in ("jobs", "other")
            for number in range(2)
        },
        ROOM,
        0.0,
        Random(seed),  # noqa: S311 - no secret
    )
    for _ in range(50):
        broker.fetch()
        assert max(broker.waited.values()) < 4


def test_for_a_batch_that_did_not_fit_more_is_asked_for_each_time() -> None:
    plan = FetchPlan()
    for nbytes in (SHARE, 2 * SHARE, 4 * SHARE, MOST, MOST):
        assert asked(plan, *JOBS[:2]) == {JOBS[0]: nbytes, JOBS[1]: SHARE}
        plan.note_too_large(JOBS[0], nbytes)


def test_as_much_is_asked_for_as_a_batch_like_the_last_one_needs() -> None:
    plan = FetchPlan()
    plan.note_too_large(JOBS[0], 4 * SHARE)
    plan.note_came(JOBS[0], 2 * SHARE, first=True)
    assert asked(plan, JOBS[0]) == {JOBS[0]: 2 * SHARE + SHARE // 2}
    plan.note_came(JOBS[0], 10, first=True)
    assert asked(plan, JOBS[0]) == {JOBS[0]: SHARE}
