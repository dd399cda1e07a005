"""The little of TIFF that is needed without decoding: numbers in the first directory.

EXIF is a TIFF directory too, so one reader serves the dimensions of TIFF files and the orientation
of JPEG files.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping

__all__ = ["first_directory"]

_MAX_ENTRIES = 4096
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""The struct codes of the types that hold one unsigned number: BYTE, SHORT, LONG, LONG8."""


def first_directory(data: bytes, tags: Collection[int]) -> Mapping[int, int]:
    """The unsigned numbers filed under `tags` in the first directory of TIFF or BigTIFF `data`.

    Tags that are absent, or hold anything but one number, are missing from the answer.

    Raises:
        ValueError: `data` is no TIFF, or ends before the directory does.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("no byte order mark")
    try:
        magic = struct.unpack_from(order + "H", data, 2)[0]
        if magic == 42:
            return _read(data, struct.Struct(order + "HHI4s"), order + "I", 4, "H", tags)
        if magic == 43:
            return _read(data, struct.Struct(order + "HHQ8s"), order + "Q", 8, "Q", tags)
    except struct.error as error:
        raise ValueError("the first directory is cut off") from error
    raise ValueError("not a TIFF")


def _read(
    data: bytes, entry: struct.Struct, pointer: str, at: int, count: str, tags: Collection[int]
) -> dict[int, int]:
    order = pointer[0]
    offset = struct.unpack_from(pointer, data, at)[0]
    if offset > len(data):
        raise ValueError("the first directory is beyond the end")
    entries = struct.unpack_from(order + count, data, offset)[0]
    if entries > _MAX_ENTRIES:
        raise ValueError(f"the first directory has {entries} entries")
    first = offset + struct.calcsize(order + count)
    found: dict[int, int] = {}
    for position in range(first, first + entries * entry.size, entry.size):
        tag, kind, values, inline = entry.unpack_from(data, position)
        number = struct.Struct(order + _NUMBERS.get(kind, "0s"))
        if tag in tags and kind in _NUMBERS and values == 1 and number.size <= len(inline):
            found.setdefault(tag, number.unpack_from(inline)[0])
    return found
