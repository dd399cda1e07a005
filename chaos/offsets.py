"""Reads records of `__consumer_offsets`: every commit that any group ever made."""

from __future__ import annotations

import struct

__all__ = ["CommittedOffset", "read_commit"]

_OFFSET_KEYS = (0, 1)
"""Versions of keys that are about an offset; 2 and more are about the group and its members."""

CommittedOffset = tuple[str, str, int, int]
"""Group, topic, partition, offset."""


def read_commit(key: bytes | None, value: bytes | None) -> CommittedOffset | None:
    """Read one record, by Kafka's `OffsetCommitKey.json` and `OffsetCommitValue.json`.

    Returns:
        What was committed; None for a record about something else, and for a tombstone.
    """
    if key is None or value is None or struct.unpack_from(">h", key)[0] not in _OFFSET_KEYS:
        return None
    group, at = _text(key, 2)
    topic, at = _text(key, at)
    (partition,) = struct.unpack_from(">i", key, at)
    # In every version of the value the offset comes first, after the version.
    (offset,) = struct.unpack_from(">q", value, 2)
    return group, topic, partition, offset


def _text(data: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">h", data, at)
    end = at + 2 + size
    return data[at + 2 : end].decode(), end
