"""The little of TIFF that is needed without decoding: numbers in the first directory, and pages.

EXIF is a TIFF directory too, so one reader serves the dimensions of TIFF files and the orientation
of JPEG files.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

__all__ = ["MAX_PAGES", "first_directory", "page_offsets", "with_first_page"]

MAX_PAGES = 1000
"""Pages of a file that are looked for."""

_MAX_ENTRIES = 4096
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""The struct codes of the types that hold one unsigned number: BYTE, SHORT, LONG, LONG8."""


def first_directory(data: bytes, tags: Collection[int]) -> Mapping[int, int]:
    """The unsigned numbers filed under `tags` in the first directory of TIFF or BigTIFF `data`.

    Tags that are absent, or hold anything but one number, are missing from the answer.

    Raises:
        ValueError: `data` is no TIFF, or ends before the directory does.
    """
    try:
        return _read(data, _kind(data), tags)
    except struct.error as error:
        raise ValueError("the first directory is cut off") from error


def page_offsets(data: bytes) -> list[int]:
    """Where the directories of the pages of TIFF or BigTIFF `data` are, the first `MAX_PAGES`.

    A directory beyond the end is one too, of a page that is cut off. What is no TIFF has none.
    """
    try:
        return list(islice(_chain(data, _kind(data)), MAX_PAGES))
    except (ValueError, struct.error):
        return []


def with_first_page(data: bytes, offset: int) -> bytes:
    """A copy of TIFF `data` whose first page is the one with its directory at `offset`.

    Raises:
        ValueError: `data` is no TIFF.
    """
    kind = _kind(data)
    end = kind.at + struct.calcsize(kind.pointer)
    return b"".join((data[: kind.at], struct.pack(kind.pointer, offset), data[end:]))


@dataclass(frozen=True, slots=True)
class _Kind:
    """How TIFF or BigTIFF of one byte order is written: codes of `struct`, and a position.

    Attributes:
        entry: tag, type, number of values, and the value or its offset.
        pointer: of an offset in the file.
        at: position in the file of the pointer to the first directory.
        count: of a directory's entries.
    """

    entry: struct.Struct
    pointer: str
    at: int
    count: str


def _kind(data: bytes) -> _Kind:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("no byte order mark")
    match data[2:4] if order == ">" else data[3:1:-1]:
        case b"\0\x2a":
            return _Kind(struct.Struct(order + "HHI4s"), order + "I", 4, order + "H")
        case b"\0\x2b":
            return _Kind(struct.Struct(order + "HHQ8s"), order + "Q", 8, order + "Q")
    raise ValueError("not a TIFF")


def _chain(data: bytes, kind: _Kind) -> Iterator[int]:
    (offset,) = struct.unpack_from(kind.pointer, data, kind.at)
    seen: set[int] = set()
    while offset and offset not in seen:
        seen.add(offset)
        yield offset
        try:
            (entries,) = struct.unpack_from(kind.count, data, offset)
            behind = offset + struct.calcsize(kind.count) + entries * kind.entry.size
            (offset,) = struct.unpack_from(kind.pointer, data, behind)
        except (struct.error, OverflowError):
            return  # the page says itself that it is cut off


def _read(data: bytes, kind: _Kind, tags: Collection[int]) -> dict[int, int]:
    entry, order = kind.entry, kind.pointer[0]
    offset = struct.unpack_from(kind.pointer, data, kind.at)[0]
    if offset > len(data):
        raise ValueError("the first directory is beyond the end")
    entries = struct.unpack_from(kind.count, data, offset)[0]
    if entries > _MAX_ENTRIES:
        raise ValueError(f"the first directory has {entries} entries")
    first = offset + struct.calcsize(kind.count)
    found: dict[int, int] = {}
    for position in range(first, first + entries * entry.size, entry.size):
        tag, code, values, inline = entry.unpack_from(data, position)
        number = struct.Struct(order + _NUMBERS.get(code, "0s"))
        if tag in tags and code in _NUMBERS and values == 1 and number.size <= len(inline):
            found.setdefault(tag, number.unpack_from(inline)[0])
    return found
