"""What this worker sends is byte for byte what aiokafka's own builder makes."""

from __future__ import annotations

import tracemalloc

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from worker.kafka.record_batches import RecordBatch

Content = tuple[int | None, bytes | None, bytes | None, list[tuple[str, bytes | None]]]

some_bytes = st.none() | st.binary(max_size=200)
records = st.lists(
    st.tuples(
        st.integers(0, 2**42),
        some_bytes,
        some_bytes,
        st.lists(st.tuples(st.text(max_size=5), some_bytes), max_size=4),
    ),
    min_size=1,
    max_size=80,
)


def added(batch: BatchBuilder, *contents: Content) -> list[tuple[int, int, int] | None]:
    found = []
    for timestamp, key, value, headers in contents:
        one = batch.append(timestamp=timestamp, key=key, value=value, headers=headers)
        found.append(one and (one.offset, one.timestamp, one.size))
    return found


@given(records, st.booleans(), st.integers(1, 4000))
def test_it_is_what_aiokafka_makes(
    contents: list[Content], is_transactional: bool, batch_size: int
) -> None:
    theirs = BatchBuilder(batch_size, 0, is_transactional=is_transactional)
    ours = RecordBatch(batch_size, is_transactional=is_transactional)
    assert added(ours, *contents) == added(theirs, *contents)
    assert (ours.size(), ours.record_count()) == (theirs.size(), theirs.record_count())
    for batch in (theirs, ours):
        batch._set_producer_state(2**40, 7, 2**30)
    assert bytes(ours._build()) == bytes(theirs._build())


@pytest.mark.parametrize("size", [2**13, 2**20, 2**21])
def test_a_long_value_is_sent_whole(size: int) -> None:
    content: Content = (1000, b"key", bytes(range(256)) * (size // 256), [("a", b"1")])
    theirs = BatchBuilder(1, 0, is_transactional=False)
    ours = RecordBatch(1, is_transactional=False)
    assert added(ours, content, content) == added(theirs, content, content)
    assert bytes(ours._build()) == bytes(theirs._build())


def test_a_record_without_a_timestamp_is_of_now() -> None:
    (first,) = added(RecordBatch(1000, is_transactional=False), (None, None, b"", []))
    assert first is not None
    assert first[1] > 1_700_000_000_000


def test_long_names_of_headers_are_not_kept() -> None:
    tracemalloc.start()
    try:
        for number in range(20):
            batch = RecordBatch(1, is_transactional=False)
            added(batch, (1000, None, b"", [(f"{number}".zfill(100_000), b"")]))
            batch._build()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000
