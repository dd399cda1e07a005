"""Where a batch's records are read from, be they compressed or not, and the numbers among them."""

from __future__ import annotations

from collections.abc import Iterator

from worker.kafka.damage import ContentError, TooLargeError

__all__ = ["Bytes", "Inflating", "Plain", "varint"]

Bytes = bytes | bytearray | memoryview
LONGEST_VARINT = 10
"""Bytes of a number of 64 bits."""


class Plain:
    """Bytes that are there already; what is taken is not copied."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        """The varint that comes next.

        Raises:
            ContentError: there is none.
        """
        try:
            value, self._at = varint(self._data, self._at)
        except IndexError:
            raise ContentError("records are missing") from None
        return value

    def take(self, count: int) -> memoryview:
        """The next `count` bytes.

        Raises:
            ContentError: there are fewer.
        """
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise ContentError("a record is cut off")
        taken = self._data[self._at : end]
        self._at = end
        return taken


class Inflating:
    """Bytes that are inflated as they are asked for."""

    def __init__(self, pieces: Iterator[bytes], limit: int) -> None:
        self._pieces = pieces
        self._limit = limit
        self._buffer = bytearray()

    def number(self) -> int:
        """The varint that comes next.

        Raises:
            ContentError: there is none.
        """
        self._fill(LONGEST_VARINT)
        try:
            value, end = varint(self._buffer, 0)
        except IndexError:
            raise ContentError("records are missing") from None
        del self._buffer[:end]
        return value

    def take(self, count: int) -> bytes:
        """The next `count` bytes.

        Raises:
            TooLargeError: they are more than the whole may inflate to.
            ContentError: there are fewer.
        """
        if count > self._limit:
            raise TooLargeError(f"it inflates to more than {self._limit} bytes")
        self._fill(count)
        if not 0 <= count <= len(self._buffer):
            raise ContentError("a record is cut off")
        with memoryview(self._buffer) as view:
            taken = bytes(view[:count])
        del self._buffer[:count]
        return taken

    def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            piece = next(self._pieces, None)
            if piece is None:
                return
            self._buffer += piece


def varint(data: Bytes, at: int) -> tuple[int, int]:
    """A zigzag number and where it ends.

    Raises:
        IndexError: the data end within it.
        ContentError: it has more than 64 bits.
    """
    byte = data[at]
    at += 1
    if byte < 0x80:  # nearly all are this short
        return (byte >> 1) ^ -(byte & 1), at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift >= 7 * LONGEST_VARINT:
            raise ContentError("a number has more than 64 bits")
