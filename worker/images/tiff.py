"""The directories of TIFF files: what their fields hold, and the chain of pages.

EXIF is a TIFF directory too, so one reader serves the layout of TIFF files and the orientation of
JPEG files.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

__all__ = [
    "MAX_PAGES",
    "Field",
    "first_directory",
    "first_fields",
    "is_big_endian",
    "page_offsets",
    "with_first_page",
]

MAX_PAGES = 1000
"""Pages of a file that are looked for."""

_MAX_ENTRIES = 4096
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
"""Bytes of one value of each type."""
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""The struct codes of the types that hold unsigned numbers: BYTE, SHORT, LONG, LONG8."""
_RATIONAL = 5


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a directory.

    Attributes:
        order: the file's byte order as `struct` writes it.
        code: the number of its type.
        count: how many values it has.
        raw: their bytes; fewer than the values take when the file ends before they do.
    """

    order: str
    code: int
    count: int
    raw: bytes

    def numbers(self, most: int | None = None) -> tuple[int, ...]:
        """Read the unsigned numbers of this field.

        Returns:
            The first `most` of them.

        Raises:
            ValueError: it holds none, or the file ends before they do.
        """
        if self.code not in _NUMBERS:
            raise ValueError(f"a field holds values of type {self.code} instead of numbers")
        count = self.count if most is None else min(self.count, most)
        if len(self.raw) < count * _SIZES[self.code]:
            raise ValueError("the values of a field are cut off")
        return struct.unpack_from(f"{self.order}{count}{_NUMBERS[self.code]}", self.raw)

    def ratios(self) -> tuple[Fraction, ...]:
        """Read the numbers of this field, which may be fractions.

        Returns:
            The numbers.

        Raises:
            ValueError: it holds none, or the file ends before they do.
        """
        if self.code != _RATIONAL:
            return tuple(map(Fraction, self.numbers()))
        if len(self.raw) < self.count * 8:
            raise ValueError("the values of a field are cut off")
        parts = struct.unpack_from(f"{self.order}{2 * self.count}I", self.raw)
        if not all(parts[1::2]):
            raise ValueError("a field divides by zero")
        return tuple(map(Fraction, parts[::2], parts[1::2]))


def first_directory(data: bytes, tags: Collection[int]) -> Mapping[int, int]:
    """Read numbers in the first directory of a TIFF or BigTIFF file.

    Tags that are absent, or hold anything but one number, are missing from the answer.

    Returns:
        The unsigned numbers by their tags, of those in `tags` that are there.

    Raises:
        ValueError: `data` is no TIFF, or ends before the directory does.
    """
    fields = first_fields(data, tags)
    return {
        tag: field.numbers()[0]
        for tag, field in fields.items()
        if field.code in _NUMBERS and field.count == 1 and len(field.raw) == _SIZES[field.code]
    }


def first_fields(data: bytes, tags: Collection[int]) -> Mapping[int, Field]:
    """Read the first directory of a TIFF or BigTIFF file.

    Returns:
        The fields by their tags, of those in `tags` that are there.

    Raises:
        ValueError: `data` is no TIFF, or ends before the directory does.
    """
    try:
        return _read(data, _kind(data), tags)
    except struct.error as error:
        raise ValueError("the first directory is cut off") from error


def is_big_endian(data: bytes) -> bool:
    """Read the byte order of a TIFF file.

    Returns:
        Whether its numbers have their highest byte first.
    """
    return data[:2] == b"MM"


def page_offsets(data: bytes) -> list[int]:
    """Find the pages of a TIFF or BigTIFF file.

    A directory beyond the end is one too, of a page that is cut off. What is no TIFF has none.

    Returns:
        Offsets of their directories, of the first `MAX_PAGES`.
    """
    try:
        return list(islice(_chain(data, _kind(data)), MAX_PAGES))
    except (ValueError, struct.error):
        return []


def with_first_page(data: bytes, offset: int) -> bytes:
    """Make another page the first one.

    Returns:
        A copy of the file whose first page is the one with its directory at `offset`.

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


def _read(data: bytes, kind: _Kind, tags: Collection[int]) -> dict[int, Field]:
    entry, order = kind.entry, kind.pointer[0]
    offset = struct.unpack_from(kind.pointer, data, kind.at)[0]
    if offset > len(data):
        raise ValueError("the first directory is beyond the end")
    entries = struct.unpack_from(kind.count, data, offset)[0]
    if entries > _MAX_ENTRIES:
        raise ValueError(f"the first directory has {entries} entries")
    first = offset + struct.calcsize(kind.count)
    found: dict[int, Field] = {}
    for position in range(first, first + entries * entry.size, entry.size):
        tag, code, count, inline = entry.unpack_from(data, position)
        if tag not in tags or tag in found or code not in _SIZES:
            continue
        size = count * _SIZES[code]
        if size <= len(inline):
            raw = inline[:size]
        else:
            (at,) = struct.unpack(kind.pointer, inline)
            raw = data[at : at + size]
        found[tag] = Field(order, code, count, raw)
    return found
