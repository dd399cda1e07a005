"""Batches are read as aiokafka's own builder writes them, leniently, within bounds, or not at all.

No broker: a broker refuses most of what is tried here, and has to be trusted for none of it.
"""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Sequence

import lz4.frame
import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder, _DefaultRecordBatchBuilderPy
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from worker.contract.records import Record
from worker.kafka.batches import MAX_HEADERS, SKIPPED, first_size
from worker.kafka.fetched_batches import FetchedBatches

MiB = 1024 * 1024
BASE = 100
CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
COMPRESSED = [1, 2, 3, 4]
ATTRIBUTES, CRC, COUNT = 21, 17, 57

Content = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]

some_bytes = st.none() | st.binary(max_size=200)
contents = st.lists(
    st.tuples(
        some_bytes, some_bytes, st.lists(st.tuples(st.text(max_size=5), some_bytes), max_size=4)
    ),
    min_size=1,
    max_size=8,
)


class LatinName(str):
    """A header's name as a producer sends it that knows nothing of UTF-8."""

    __slots__ = ()

    def encode(self, encoding: str = "latin-1", errors: str = "strict") -> bytes:
        return super().encode("latin-1", errors)


def batch(
    records: Sequence[Content], codec: int = 0, base: int = BASE, **options: int
) -> bytearray:
    """A batch whose records have the timestamps 1000, 1001, ..."""
    options = {"is_transactional": 0, "producer_id": -1} | options
    builder = _DefaultRecordBatchBuilderPy(
        2, codec, producer_epoch=-1, base_sequence=-1, batch_size=1 << 40, **options
    )
    for number, (key, value, headers) in enumerate(records):
        builder.append(number, 1000 + number, key, value, headers)
    built = bytearray(builder.build())
    struct.pack_into(">q", built, 0, base)
    return built


def signed(data: bytearray) -> bytearray:
    """The batch with the checksum that fits what it contains now."""
    struct.pack_into(">I", data, CRC, calc_crc32c(memoryview(data)[ATTRIBUTES:]))
    return data


def fetched(
    data: bytes | bytearray,
    position: int = BASE,
    *,
    aborted: Sequence[tuple[int, int]] = (),
    limit: int = 64 * MiB,
    end: int = 1 << 40,
    on_unreadable: Callable[[], None] = lambda: None,
) -> FetchedBatches:
    partition = TopicPartition("jobs", 3)
    return FetchedBatches(partition, bytes(data), position, end, aborted, limit, on_unreadable)


def plain(records: Sequence[Record]) -> list[tuple[int, int, Content]]:
    return [
        (record.offset, record.timestamp_ms, (record.key, record.value, list(record.headers)))
        for record in records
    ]


@given(contents, st.sampled_from(sorted(CODECS)), st.integers(0, 9))
def test_what_a_producer_writes_is_read(records: list[Content], codec: int, skipped: int) -> None:
    reading = fetched(batch(records, codec), BASE + skipped)
    expected = [(BASE + n, 1000 + n, content) for n, content in enumerate(records)][skipped:]
    assert plain(reading.take(None, None)) == expected
    assert reading.damage is None or skipped >= len(records)
    assert (reading.finished, reading.held) == (True, 0)


@given(contents, st.sampled_from(sorted(CODECS)), st.integers(1, 3))
def test_it_is_read_piece_by_piece_and_let_go_of_with_the_last_record(
    records: list[Content], codec: int, most: int
) -> None:
    data = batch(records, codec) + batch(records, codec, BASE + len(records))
    reading = fetched(data)
    taken: list[Record] = []
    while len(taken) < 2 * len(records):
        assert not reading.finished
        assert reading.held == len(data)
        assert reading.position == BASE + len(taken)
        some = reading.take(most, None)
        assert 1 <= len(some) <= most
        taken += some
    assert [record.offset for record in taken] == list(range(BASE, BASE + 2 * len(records)))
    assert (reading.finished, reading.held, reading.damage) == (True, 0, None)


def test_a_poll_ends_once_it_has_its_bytes() -> None:
    reading = fetched(batch([(None, bytes(1000), [])] * 10, 4))
    assert [len(reading.take(None, 2500)) for _ in range(4)] == [3, 3, 3, 1]


def test_the_checksum_covers_every_byte_of_a_long_batch() -> None:
    value = bytes(300_000)
    data = batch([(None, value, [])])
    assert fetched(data).take(None, None)[0].value == value
    for at in (ATTRIBUTES, 100_000, 200_000, len(data) - 1):
        damaged = bytearray(data)
        damaged[at] ^= 1
        reading = fetched(damaged)
        assert reading.take(None, None) == []
        assert reading.damage is not None


@pytest.mark.parametrize("codec", CODECS)
def test_a_header_name_that_is_not_utf8_is_spelled_out(codec: int) -> None:
    good: Content = (b"k", b"v", [("a", b"1")])
    odd: Content = (b"key", b"value", [(LatinName("näme"), b"\xff"), ("ü", None)])
    reading = fetched(batch([good, odd, good], codec))
    assert plain(reading.take(None, None)) == [
        (BASE, 1000, good),
        (BASE + 1, 1001, (b"key", b"value", [("n\\xe4me", b"\xff"), ("ü", None)])),
        (BASE + 2, 1002, good),
    ]


@pytest.mark.parametrize("codec", COMPRESSED)
def test_what_inflates_too_far_fails_and_what_comes_before_does_not(codec: int) -> None:
    records: list[Content] = [(None, bytes(MiB), [])] * 40
    data = batch(records, codec)
    assert len(data) < 4 * MiB
    reading = fetched(data, limit=10 * MiB)
    tracemalloc.start()
    try:
        first = reading.take(9, None)
        assert [record.unreadable for record in first] == [None] * 9
        assert all(record.value == bytes(MiB) for record in first)
        del first
        rest = reading.take(None, None)
        # A mebibyte for the record, as much while it is put together, and a piece or two beyond.
        assert tracemalloc.get_traced_memory()[1] < 9 * MiB + 5 * MiB
    finally:
        tracemalloc.stop()
    assert [record.offset for record in rest] == list(range(BASE + 9, BASE + 40))
    assert {(r.key, r.value, r.timestamp_ms) for r in rest} == {(None, None, 1039)}
    for record in rest:
        assert record.unreadable is not None
        assert "more than 10485760 bytes (kafka.batch_max_bytes)" in record.unreadable


@pytest.mark.parametrize("codec", COMPRESSED)
def test_one_record_beyond_the_limit_is_never_put_together(codec: int) -> None:
    data = batch([(None, bytes(50 * MiB), [])], codec)
    reading = fetched(data, limit=2 * MiB)
    tracemalloc.start()
    try:
        (record,) = reading.take(None, None)
        assert tracemalloc.get_traced_memory()[1] < 4 * MiB
    finally:
        tracemalloc.stop()
    assert record.unreadable is not None


@pytest.mark.parametrize("codec", COMPRESSED)
@pytest.mark.parametrize("kept", [0, 1, 0.5, -1])
def test_compressed_data_that_are_cut_off_fail_what_they_lack(codec: int, kept: float) -> None:
    noise: list[Content] = [
        (None, calc_crc32c(b"%d" % n).to_bytes(4, "big") * 30, []) for n in range(50)
    ]
    data = batch(noise, codec)
    body = len(data) - 61
    count = 61 + (int(kept * body) if 0 < kept < 1 else int(kept) % body)
    cut = data[:count]
    struct.pack_into(">i", cut, 8, len(cut) - 12)
    good = batch([(None, b"good", [])], 0, BASE + 50)
    reading = fetched(signed(cut) + good)
    records = reading.take(None, None)
    assert [record.offset for record in records] == list(range(BASE, BASE + 51))
    whole = [record.value for record in records[:-1] if record.unreadable is None]
    assert whole == [value for _, value, _ in noise[: len(whole)]]
    # The last byte can be of a checksum alone.
    assert len(whole) < 50 or kept == -1
    assert records[-1].value == b"good"
    assert reading.damage is None


def test_an_unknown_codec_fails_the_batch_alone() -> None:
    data = batch([(None, b"x", [])] * 2)
    data[ATTRIBUTES + 1] |= 7
    counted: list[None] = []
    both = signed(data) + batch([(None, b"good", [])], 0, BASE + 2)
    reading = fetched(both, on_unreadable=lambda: counted.append(None))
    first, second, good = reading.take(None, None)
    assert len(counted) == 1
    assert first.unreadable == second.unreadable
    assert first.unreadable is not None
    assert "codec 7 is unknown" in first.unreadable
    assert good.value == b"good"


def test_a_record_that_is_damaged_inside_fails_alone() -> None:
    data = batch([(b"key", b"value", []), (b"k", b"v", [])])
    at = data.index(b"key") + 3
    data[at] = 0x7E  # the value is longer than its record
    first, second = fetched(signed(data)).take(None, None)
    assert (first.key, first.value, first.unreadable) == (b"key", None, "the record is cut off")
    assert (second.key, second.value, second.unreadable) == (b"k", b"v", None)


def test_too_many_headers_fail_their_record_before_they_are_made() -> None:
    headers: list[tuple[str, bytes | None]] = [("", b"")] * (MAX_HEADERS + 1)
    first, second = fetched(batch([(b"k", b"v", headers), (b"k", b"v", headers[1:])])).take(
        None, None
    )
    assert (first.key, first.value, first.headers) == (b"k", b"v", ())
    assert first.unreadable == f"the record has {MAX_HEADERS + 1} headers; send at most 1000"
    assert (len(second.headers), second.unreadable) == (MAX_HEADERS, None)


@given(contents, st.sampled_from(sorted(CODECS)), st.data())
def test_whatever_a_batch_contains_each_of_its_offsets_comes_once(
    records: list[Content], codec: int, data: st.DataObject
) -> None:
    """Bytes that are wrong and signed: no exception, no offset twice, none left out."""
    damaged = batch(records, codec)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(COUNT, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    reading = fetched(signed(damaged))
    taken = reading.take(None, None)
    offsets = [record.offset for record in taken]
    assert offsets == sorted(set(offsets))
    assert reading.position == BASE + len(records)
    assert reading.damage is None
    # A smaller count or a greater offset is what compaction leaves behind, too.
    assert set(offsets) <= set(range(BASE, BASE + len(records)))


@pytest.mark.parametrize(
    ("at", "value", "why", "follows"),
    [
        (70, 0xFF, "its checksum is wrong", BASE + 6),
        (16, 9, "its format version is 9", None),
        (11, 0xFF, "the batch is not whole", None),
        (8, 0xFF, "its length field says -16777", None),
        (0, 0x01, "the partition ends before", None),
        (0, 0xFF, "the broker sends other offsets", None),
    ],
)
def test_damage_ends_reading_at_its_offset_and_says_where_it_may_go_on(
    at: int, value: int, why: str, follows: int | None
) -> None:
    good = batch([(None, b"good", [])] * 3)
    bad = batch([(None, b"bad", [])] * 3, 0, BASE + 3)
    assert bad[at] != value
    bad[at] = value
    alone = fetched(bad, BASE + 3, end=BASE + 100)
    assert alone.take(None, None) == []
    assert alone.damage is not None
    assert why in alone.damage.why
    assert (alone.damage.offset, alone.damage.follows) == (BASE + 3, follows)
    assert (alone.finished, alone.held) == (True, 0)
    behind = fetched(good + bad, end=BASE + 100)
    assert [record.offset for record in behind.take(None, None)] == [BASE, BASE + 1, BASE + 2]
    # What is cut off after a whole batch, or comes before it, is nothing unusual.
    harmless = why in {"the batch is not whole", "the broker sends other offsets"}
    assert (behind.damage is None) == harmless


def test_the_remedy_is_a_command_and_the_contents_of_its_file() -> None:
    bad = batch([(None, b"bad", [])] * 3)
    bad[70] ^= 1
    reading = fetched(bad)
    reading.take(None, None)
    assert reading.damage is not None
    assert (
        'kafka-delete-records.sh --offset-json-file FILE with {"version": 1, "partitions": '
        '[{"topic": "jobs", "partition": 3, "offset": 103}]} in FILE'
    ) in reading.damage.remedy
    assert str(reading.damage) == (
        "partition 3 of topic jobs cannot be read at offset 100: its checksum is wrong"
    )


def test_a_marker_that_cannot_be_read_is_damage() -> None:
    made = batch([(struct.pack(">hh", 0, 0), b"", [])])
    made[ATTRIBUTES + 1] |= 0x30
    made[61] = 0x7E  # the record's length
    reading = fetched(signed(made))
    assert reading.take(None, None) == []
    assert reading.damage is not None
    assert reading.damage.why == "its transaction marker cannot be read: a record is cut off"


def test_records_of_aborted_transactions_and_markers_are_skipped() -> None:
    def marker(base: int, producer: int, kind: int) -> bytearray:
        made = batch([(struct.pack(">hh", 0, kind), b"", [])], 0, base, producer_id=producer)
        made[ATTRIBUTES + 1] |= 0x30
        return signed(made)

    def written(base: int, producer: int, value: bytes) -> bytearray:
        return batch([(None, value, [])], 0, base, producer_id=producer, is_transactional=1)

    log = (
        written(100, 1, b"aborted")
        + written(101, 2, b"committed")
        + marker(102, 1, 0)
        + written(103, 1, b"committed later")
        + marker(104, 2, 1)
        + marker(105, 1, 1)
    )
    reading = fetched(log, aborted=[(1, 100)])
    assert [record.value for record in reading.take(None, None)] == [
        b"committed",
        b"committed later",
    ]
    assert reading.position == 106
    everything = fetched(log)
    assert len(everything.take(None, None)) == 3, "read_uncommitted"


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", [0, 1, 2, 3])
def test_batches_of_old_brokers_are_read_within_the_same_bounds(magic: int, codec: int) -> None:
    if (magic, codec) == (0, 3):
        return  # there never was one
    builder = LegacyRecordBatchBuilder(magic, codec, 1 << 40)
    for number in range(3):
        builder.append(number, 1000 + number, b"k", b"%d" % number * 1000)
    data = bytearray(builder.build())
    if codec:
        struct.pack_into(">q", data, 0, 2)  # a broker writes the last offset there
    reading = fetched(data, 0)
    timestamp = 1000 if magic else -1
    records = reading.take(None, None)
    assert [(r.offset, r.key, r.value) for r in records] == [
        (n, b"k", b"%d" % n * 1000) for n in range(3)
    ]
    assert records[0].timestamp_ms == timestamp
    if codec:
        bounded = fetched(data, 0, limit=1000).take(None, None)
        assert [record.offset for record in bounded] == [0, 1, 2]
        assert all(r.unreadable is not None and "1000 bytes" in r.unreadable for r in bounded)
    data[-1] ^= 1
    damaged = fetched(data, 0)
    assert len(damaged.take(None, None)) == (0 if codec else 2)
    assert damaged.damage is not None
    assert damaged.damage.why == "its checksum is wrong"


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("length", [-2, 1 << 20])
def test_a_batch_of_an_old_broker_with_a_wrong_length_is_unreadable(
    magic: int, length: int
) -> None:
    """Its checksum is right: a producer made it so."""
    builder = LegacyRecordBatchBuilder(magic, 0, 1 << 40)
    builder.append(0, 1000, b"k", b"v")
    data = bytearray(builder.build())
    struct.pack_into(">i", data, 26 if magic else 18, length)
    struct.pack_into(">I", data, 12, zlib.crc32(data[16:]))
    reading = fetched(data, 0)
    (record,) = reading.take(None, None)
    assert record.unreadable is not None
    assert "its messages are damaged" in record.unreadable
    assert reading.damage is None


@pytest.mark.parametrize(
    ("codec", "compress", "between"),
    [(1, gzip.compress, b""), (1, gzip.compress, b"\0\0"), (3, lz4.frame.compress, b"")],
)
def test_all_frames_of_an_old_batch_count(
    codec: int, compress: Callable[[bytes], bytes], between: bytes
) -> None:
    """aiokafka would inflate the second one as well, whatever its size."""
    builder = LegacyRecordBatchBuilder(1, 0, 1 << 40)
    builder.append(0, 1000, b"k", b"v")
    payload = compress(builder.build()) + between + compress(bytes(1_000_000))
    wrapper = LegacyRecordBatchBuilder(1, 0, 1 << 40)
    wrapper.append(0, 1000, None, payload)
    data = bytearray(wrapper.build())
    data[17] |= codec
    struct.pack_into(">I", data, 12, zlib.crc32(data[16:]))
    (record,) = fetched(data, 0, limit=100_000).take(None, None)
    assert record.unreadable is not None
    assert "100000 bytes" in record.unreadable


def test_the_c_builder_writes_the_same() -> None:
    """The tests' batches come from aiokafka's Python builder, which takes odd names."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    builder.append(0, 1000, b"k", b"v", [("a", b"1")])
    written = bytearray(builder.build())
    struct.pack_into(">q", written, 0, BASE)
    assert written == batch([(b"k", b"v", [("a", b"1")])])


@pytest.mark.parametrize("codec", CODECS)
def test_many_records_before_the_one_that_is_due_are_skipped_a_part_at_a_time(codec: int) -> None:
    count = 3 * SKIPPED + 2
    data = bytes(batch([(None, b"", [])] * count, codec))
    fetched = FetchedBatches(
        TopicPartition("jobs", 3), data, BASE + count - 1, BASE + count, (), MiB
    )
    for _ in range(3):
        assert (fetched.take(10, MiB), fetched.skipping, fetched.finished) == ([], True, False)
    (record,) = fetched.take(10, MiB)
    assert record.offset == BASE + count - 1
    assert (fetched.skipping, fetched.finished, fetched.damage) == (False, True, None)


def test_the_first_batch_is_measured_without_those_behind_it() -> None:
    first, second = batch([(None, b"a job", [])]), batch([(None, bytes(1000), [])], base=BASE + 1)
    assert first_size(bytes(first + second)) == first_size(memoryview(first)) == len(first)
    assert first_size(bytes(first[:-1])) == first_size(b"") == 0


def test_what_stays_in_an_answer_holds_all_of_it_until_it_is_read() -> None:
    data = batch([(None, bytes(1000), [])])
    answer = bytearray(400) + data + bytearray(100)
    partition, part = TopicPartition("jobs", 3), memoryview(answer)[400:-100]
    assert fetched(data).held == len(data)
    found = FetchedBatches(partition, part, BASE, BASE + 1, (), MiB)
    assert found.held == len(answer)
    assert len(found.take(None, None)) == 1
    assert found.held == 0
