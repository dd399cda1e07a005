"""When a partition is known as unreadable, and when that is forgotten."""

from __future__ import annotations

from aiokafka import TopicPartition
from structlog.testing import capture_logs

from worker.kafka.damage import Damage
from worker.kafka.unreadable_partitions import UnreadablePartitions

ZERO = TopicPartition("jobs", 0)
DAMAGE = Damage(ZERO, 42, None, "its checksum is wrong")


def test_a_damage_is_logged_once_for_its_offset() -> None:
    known = UnreadablePartitions(5.0)
    with capture_logs() as logs:
        known.note(DAMAGE)
        known.note(DAMAGE)
        known.note(Damage(ZERO, 43, None, "its checksum is wrong"))
    assert [entry["offset"] for entry in logs] == [42, 43]


def test_a_partition_is_readable_again_once_it_is_read_elsewhere() -> None:
    known = UnreadablePartitions(5.0)
    known.note(DAMAGE)
    known.clear_passed(ZERO, 42)
    assert known == {ZERO: DAMAGE}
    known.clear_passed(ZERO, 43)
    assert known == {}


def test_a_doubt_counts_from_its_second_time_at_an_offset() -> None:
    known = UnreadablePartitions(5.0)
    assert known.is_first_doubt(DAMAGE)
    assert not known.is_first_doubt(DAMAGE)
    known.forget()
    assert known.is_first_doubt(DAMAGE)


def test_records_are_withheld_if_they_are_missing_in_every_answer_for_long_enough() -> None:
    known = UnreadablePartitions(5.0)
    assert not known.is_withheld(ZERO, True, 10.0)
    assert not known.is_withheld(ZERO, True, 14.9)
    assert known.is_withheld(ZERO, True, 15.0)
    assert not known.is_withheld(ZERO, False, 16.0)
    assert not known.is_withheld(ZERO, True, 17.0)
