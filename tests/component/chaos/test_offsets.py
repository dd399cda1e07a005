"""What is read of `__consumer_offsets`, in the bytes that Kafka 4 writes."""

from __future__ import annotations

import struct

from chaos.offsets import read_commit


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


KEY = struct.pack(">h", 1) + text("group") + text("jobs") + struct.pack(">i", 3)
VALUE = struct.pack(">hqi", 3, 4711, -1) + text("") + struct.pack(">q", 1_700_000_000_000)


def test_a_commit_is_read() -> None:
    assert read_commit(KEY, VALUE) == ("group", "jobs", 3, 4711)


def test_what_is_no_commit_is_left_out() -> None:
    assert read_commit(KEY, None) is None, "a tombstone: the topic was deleted, say"
    assert read_commit(struct.pack(">h", 2) + text("group"), b"\0\3members") is None
    assert read_commit(None, VALUE) is None
