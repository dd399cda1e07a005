"""Targets: what brokers and HTTP clients send, in the protocols' own forms."""

from __future__ import annotations

import gzip
import struct
import zlib
from contextlib import suppress

import cramjam
import lz4.frame
import structlog
import zstandard
from aiokafka import TopicPartition
from aiokafka.record.util import calc_crc32c

from tests.support.fuzz.target import MiB, Pieces, check_refusal, check_text, target
from worker.contract.records import Record
from worker.errors import JobError, Reason
from worker.http.bodies import CODINGS, PIECE, DamagedBodyError, Decoder
from worker.http.form import read_form
from worker.http.heads import FOLDED, Head
from worker.kafka.damage import ContentError, TooLargeError
from worker.kafka.fetched_batches import FetchedBatches
from worker.kafka.inflate import inflate

PARTITION = TopicPartition("jobs", 0)
MOST_INFLATED = 64 * 1024
BOUNDARY = "fuzz"


@target(longest=2048, most_memory=16 * MiB, examples=400)
def kafka_batches(data: bytes) -> None:
    """Of any batches each offset comes once, in order, as a record that is readable or not."""
    pieces = Pieces(data)
    position, end = pieces.number() % 64, pieces.number(2) % 3000
    aborted = [(pieces.number(), pieces.number()) for _ in range(pieces.number() % 3)]
    stored = _with_checksums(pieces.rest())
    with structlog.testing.capture_logs():
        batches = FetchedBatches(PARTITION, stored, position, end, aborted, MOST_INFLATED)
        records: list[Record] = []
        while not batches.finished:
            records += batches.take(500, 64 * 1024)
    assert batches.held == 0
    offsets = [record.offset for record in records]
    assert offsets == sorted(set(offsets))
    assert all(position <= offset < end for offset in offsets)
    assert sum(record.size for record in records) <= len(stored) + MOST_INFLATED * (
        1 + len(stored) // 61
    )
    assert not offsets or batches.position > offsets[-1]


def _with_checksums(data: bytes) -> bytes:
    """Correct the checksums and lengths of batches, which no made-up input would have right."""
    made, at = bytearray(data), 0
    while len(made) - at >= 26:
        (length,) = struct.unpack_from(">i", made, at + 8)
        end = at + 12 + length
        if not at + 26 <= end <= len(made):
            end = len(made)
            struct.pack_into(">i", made, at + 8, end - at - 12)
        if made[at + 16] == 2 and end - at >= 61:
            struct.pack_into(">I", made, at + 17, calc_crc32c(bytes(made[at + 21 : end])))
        elif made[at + 16] in (0, 1):
            struct.pack_into(">I", made, at + 12, zlib.crc32(made[at + 16 : end]))
        at = end
    return bytes(made)


@target(longest=2048, most_memory=160 * MiB)
def inflating(data: bytes) -> None:
    """No codec gives more than one piece beyond the limit; what was compressed comes back."""
    pieces = Pieces(data)
    codec = pieces.number() % 6
    raw = pieces.rest()
    inflated = 0
    try:
        for piece in inflate(codec, memoryview(raw), MOST_INFLATED):
            inflated += len(piece)
            assert inflated <= MOST_INFLATED
    except ContentError as error:
        check_text(error)
    for number, compressed in (
        (1, gzip.compress(raw, 1)),
        (2, bytes(cramjam.snappy.compress_raw(raw))),
        (3, lz4.frame.compress(raw)),
        (4, zstandard.compress(raw, 1)),
    ):
        assert b"".join(inflate(number, memoryview(compressed), len(raw))) == raw
        if len(raw) > 1:
            with suppress(TooLargeError):
                list(inflate(number, memoryview(compressed), len(raw) - 1))
                raise AssertionError("one byte too many was inflated")


@target(longest=2048)
def form(data: bytes) -> None:
    """A form has one file and a few short fields, or is refused."""
    pieces = Pieces(data)
    boundary = BOUNDARY if pieces.number() & 7 else pieces.some().decode("latin-1")
    body = pieces.rest()
    try:
        read = read_form(body, f"multipart/form-data; boundary={boundary}")
    except JobError as error:
        check_refusal(error, Reason.UNREADABLE, Reason.TOO_LARGE, Reason.WRONG_FIELD)
        return
    assert len(read.file) <= len(body)
    assert read.file in body
    assert len(read.fields) <= 32
    assert sum(len(text) for _, text in read.fields) <= len(body)


@target(longest=1024)
def http_head(data: bytes) -> None:
    """Of a head nothing but whole, repeated lines is missing, however it arrives."""
    pieces = Pieces(data)
    cut = pieces.number(2)
    raw = pieces.rest()
    head = Head()
    passed, rest = head.feed(raw[:cut])
    if head.ended:
        rest += raw[cut:]
    else:
        more, rest = head.feed(raw[cut:])
        passed += more
    assert (passed + rest) in raw or len(passed + rest) < len(raw)
    lines = iter(raw.split(b"\n"))
    if not any(line[:1] in b" \t" for line in raw.split(b"\n")) and head.ended:
        for line in (passed + rest).split(b"\n"):
            assert line in lines, "lines are taken out, never changed or moved"
    for line in raw.lower().split(b"\n"):
        if line.startswith((b"content-length:", b"transfer-encoding:")) and head.ended:
            assert line in (passed + rest).lower()
    assert set(FOLDED).isdisjoint({b"content-length", b"transfer-encoding"})


@target(longest=1024, most_memory=16 * MiB)
def http_body(data: bytes) -> None:
    """A compressed body comes in bounded pieces; what was compressed comes back."""
    pieces = Pieces(data)
    coding = sorted(CODINGS)[pieces.number() % len(CODINGS)]
    cut = pieces.number()
    raw = pieces.rest()
    decoder = Decoder(coding)
    with suppress(DamagedBodyError):
        for part in (raw[:cut], raw[cut:]):
            for piece in decoder.feed(part):
                assert len(piece) <= max(PIECE, len(raw))
        decoder.end()
    for name, compressed in (("gzip", gzip.compress(raw, 1)), ("deflate", zlib.compress(raw, 1))):
        decoder = Decoder(name)
        halves = (compressed[:cut], compressed[cut:])
        assert b"".join(piece for half in halves for piece in decoder.feed(half)) == raw
        decoder.end()
