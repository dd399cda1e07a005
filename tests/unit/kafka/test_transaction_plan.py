"""What a transaction holds, when it begins, and what became of one whose end is not known."""

from __future__ import annotations

from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from worker.contract.jobs import Success
from worker.contract.records import Message, Record
from worker.kafka.assignment import PartitionState
from worker.kafka.outgoing import Outgoing
from worker.kafka.parcel import Parcel
from worker.kafka.transaction_plan import Found, choose, compare, locate, pause_until_next


def parcel(offset: int, *sizes: int) -> Parcel:
    """What there is to say about a record, in messages of these sizes."""
    return Parcel(
        PartitionState(TopicPartition("jobs", 0)),
        Record("jobs", 0, offset, -1, None, b"", ()),
        Success(()),
        [Outgoing("results", Message(None, bytes(size), ())) for size in sizes],
        delivered=cast("Any", None),
    )


def offsets(parcels: object) -> list[int]:
    return [each.record.offset for each in cast("list[Parcel]", parcels)]


def test_the_first_parcels_are_chosen_up_to_the_number() -> None:
    waiting = [parcel(offset, 1) for offset in range(5)]
    assert offsets(choose(waiting, 3)) == [0, 1, 2]
    assert offsets(choose(waiting, 9)) == [0, 1, 2, 3, 4]
    assert offsets(choose([], 3)) == []


def test_bytes_end_a_transaction_but_the_first_parcel_is_always_in_it() -> None:
    waiting = [parcel(0, 50), parcel(1, 30, 20), parcel(2, 1), parcel(3, 1)]
    assert offsets(choose(waiting, 9, max_bytes=100)) == [0, 1]
    assert offsets(choose(waiting, 9, max_bytes=99)) == [0]
    assert offsets(choose(waiting, 9, max_bytes=1)) == [0]


def test_parcels_before_a_suspect_do_not_wait_for_it() -> None:
    waiting = [parcel(offset, 1) for offset in range(4)]
    assert offsets(choose(waiting, 9, waiting[2])) == [0, 1]
    assert offsets(choose(waiting, 9, waiting[0])) == [0, 1, 2, 3]


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 10), st.integers(1, 100))
def test_choosing_again_and_again_takes_all_in_order_and_keeps_the_bounds(
    sizes: list[int], most: int, max_bytes: int
) -> None:
    waiting = [parcel(offset, size) for offset, size in enumerate(sizes)]
    taken: list[int] = []
    while chosen := choose(waiting, most, max_bytes=max_bytes):
        assert len(chosen) <= most
        assert len(chosen) == 1 or sum(each.size for each in chosen) <= max_bytes
        taken += offsets(chosen)
        waiting = waiting[len(chosen) :]
    assert taken == list(range(len(sizes)))


@pytest.mark.parametrize(
    ("waiting", "since", "hurry", "pause"),
    [
        (1, 0.05, False, 0.15),
        (1, 0.2, False, 0.0),
        (1, 9.0, False, 0.0),
        (100, 0.0, False, 0.0),
        (1, 0.0, True, 0.0),
    ],
)
def test_a_transaction_waits_for_its_interval_unless_it_is_full_or_urgent(
    waiting: int, since: float, hurry: bool, pause: float
) -> None:
    found = pause_until_next(waiting, since, interval=0.2, most=100, hurry=hurry)
    assert found == pytest.approx(pause)


@pytest.mark.parametrize(
    ("committed", "known", "attempted", "found"),
    [
        (5, 5, 9, Found.ABORTED),
        (9, 5, 9, Found.COMMITTED),
        (7, 5, 9, Found.FOREIGN),
        (None, None, 9, Found.ABORTED),
        (9, None, 9, Found.COMMITTED),
        (None, 5, 9, Found.FOREIGN),
        (5, 5, None, Found.ABORTED),
        (7, 5, None, Found.FOREIGN),
        (None, 5, None, Found.FOREIGN),
    ],
)
def test_the_committed_offset_tells_what_became_of_a_transaction(
    committed: int | None, known: int | None, attempted: int | None, found: Found
) -> None:
    assert compare(committed, known, attempted) is found


def test_a_message_is_found_by_its_number() -> None:
    parcels = [parcel(0, 1, 2), parcel(1), parcel(2, 3)]
    found = [locate(parcels, number) for number in range(3)]
    assert [each.record.offset for each, _ in found] == [0, 0, 2]
    assert [outgoing.message.size for _, outgoing in found] == [1, 2, 3]
    with pytest.raises(IndexError):
        locate(parcels, 3)
