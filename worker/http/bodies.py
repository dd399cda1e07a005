"""Decompresses request bodies.

aiohttp is not asked to do it: it accepts every encoding for which a library is installed, and
closes the connection when a body has any other encoding.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

__all__ = ["CODINGS", "DamagedBodyError", "Decoder"]

CODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
"""Values of Content-Encoding that a `Decoder` accepts, in lower case."""

PIECE = 1 << 16
"""Most bytes that are inflated at a time: the caller can stop before a bomb fills the memory."""

SLICE = 1 << 14
"""Most bytes that zlib gets at a time: it copies its unread input once for every piece."""


class DamagedBodyError(Exception):
    """The body does not have the encoding that Content-Encoding names, or it ends too early."""


class Decoder:
    """Undoes one Content-Encoding of `CODINGS`."""

    def __init__(self, coding: str) -> None:
        self._coding = "gzip" if coding == "x-gzip" else coding
        self._stream: zlib._Decompress | None = None
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress the next bytes of the body.

        Returns:
            The decompressed bytes, in pieces of at most `PIECE` bytes.

        Raises:
            DamagedBodyError: `data` does not have this encoding.
        """
        if self._coding in ("", "identity"):
            yield data
            return
        view = memoryview(data)
        try:
            for at in range(0, len(view), SLICE):
                yield from self._inflated(bytes(view[at : at + SLICE]))
        except zlib.error as error:
            raise DamagedBodyError(
                f"is not {self._coding}, as its Content-Encoding says"
            ) from error

    def end(self) -> None:
        """Check that the body is complete; nothing follows.

        Raises:
            DamagedBodyError: the compressed data has not ended.
        """
        if self._stream is not None:
            raise DamagedBodyError(f"ends before its {self._coding} data does")

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._stream is None:
                self._stream = self._opened(data[0])
            stream = self._stream
            while True:
                piece = stream.decompress(data, PIECE)
                data = stream.unconsumed_tail
                if piece:
                    yield piece
                # A full piece may have left output behind even when all input is taken.
                if stream.eof or (not data and len(piece) < PIECE):
                    break
            if stream.eof:
                # A gzip file may have several members, one after another.
                self._stream, data = None, stream.unused_data

    def _opened(self, first: int) -> zlib._Decompress:
        if self._coding == "gzip":
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        if self._begun:
            raise zlib.error("data after the end")
        self._begun = True
        # "deflate" is the zlib format, whose first byte names method 8. Many clients send raw
        # deflate data, without zlib's header.
        return zlib.decompressobj(zlib.MAX_WBITS if first & 0x0F == 8 else -zlib.MAX_WBITS)
