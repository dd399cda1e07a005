"""Readers of a batch's bytes, compressed or not, and of the numbers among them."""

from __future__ import annotations

from collections.abc import Iterator

from worker.kafka.damage import ContentError, TooLargeError

__all__ = ["Bytes", "InflatingReader", "PlainReader", "read_varint"]

Bytes = bytes | bytearray | memoryview
LONGEST_VARINT = 10
"""Bytes of a number of 64 bits."""


class PlainReader:
    """Reads bytes that are not compressed, without copying them."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def read_number(self) -> int:
        """Read the next number, a zigzag-encoded varint.

        Returns:
            The number.

        Raises:
            ContentError: there is none.
        """
        try:
            value, self._at = read_varint(self._data, self._at)
        except IndexError:
            raise ContentError("records are missing") from None
        return value

    def read(self, count: int) -> memoryview:
        """Read the next `count` bytes.

        Returns:
            A view of them, without a copy.

        Raises:
            ContentError: there are fewer.
        """
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise ContentError("a record is cut off")
        taken = self._data[self._at : end]
        self._at = end
        return taken


class InflatingReader:
    """Reads compressed bytes, and inflates them as they are asked for."""

    def __init__(self, pieces: Iterator[bytes], limit: int) -> None:
        self._pieces = pieces
        self._limit = limit
        self._buffer = bytearray()

    def read_number(self) -> int:
        """Read the next number, a zigzag-encoded varint.

        Returns:
            The number.

        Raises:
            ContentError: there is none.
        """
        self._fill(LONGEST_VARINT)
        try:
            value, end = read_varint(self._buffer, 0)
        except IndexError:
            raise ContentError("records are missing") from None
        del self._buffer[:end]
        return value

    def read(self, count: int) -> bytes:
        """Read the next `count` bytes.

        Returns:
            A copy of them.

        Raises:
            TooLargeError: they are more than everything together may inflate to.
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


def read_varint(data: Bytes, at: int) -> tuple[int, int]:
    """Read a zigzag-encoded number of variable length.

    Args:
        at: index of its first byte.

    Returns:
        The number, and the index after its last byte.

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
