"""Which partitions of the results topic a client reads, and from where."""

from __future__ import annotations

from collections.abc import Collection

from aiokafka import TopicPartition

from worker.kafka.job_client import _assign_new_partitions

Positions = dict[TopicPartition, int | None]


def at(number: int) -> TopicPartition:
    return TopicPartition("results", number)


class Reader:
    """A consumer's assignment, which forgets positions as aiokafka's does.

    Args:
        numbers: of the partitions that the topic has.
    """

    def __init__(self, positions: Positions, numbers: Collection[int] | None) -> None:
        self.positions: Positions = dict(positions)
        self.assignments = 0
        self._numbers = numbers

    def assignment(self) -> set[TopicPartition]:
        return set(self.positions)

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        assert topic == "results"
        return None if self._numbers is None else set(self._numbers)

    def current_position(self, partition: TopicPartition) -> int | None:
        return self.positions[partition]

    def assign(self, partitions: Collection[TopicPartition]) -> None:
        self.assignments += 1
        self.positions = dict.fromkeys(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = offset


def test_new_partitions_are_read_from_their_beginning_and_others_from_where_they_are() -> None:
    reader = Reader({at(0): 7, at(1): None}, (0, 1, 2, 3))
    _assign_new_partitions(reader, "results")  # type: ignore[arg-type]
    assert reader.positions == {at(0): 7, at(1): None, at(2): 0, at(3): 0}


def test_nothing_changes_where_nothing_is_new_or_known() -> None:
    positions: Positions = {at(0): 7, at(1): 9}
    for numbers in (None, (), (0,), (0, 1)):
        reader = Reader(positions, numbers)
        _assign_new_partitions(reader, "results")  # type: ignore[arg-type]
        assert (reader.positions, reader.assignments) == (positions, 0)
