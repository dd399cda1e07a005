"""Compressed record batches, inflated piece by piece and up to a limit.

A batch of 1 MiB can inflate to 32 GiB (zstd), so it must never be inflated all at once.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import cramjam
import lz4.frame
import zstandard

from worker.kafka.damage import ContentError, TooLargeError

__all__ = ["CODECS", "CODEC_ERRORS", "inflate"]

CODECS = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
"""The codecs of Kafka's protocol, by their number in a batch's attributes."""

INPUT = 16 * 1024
"""Compressed bytes given to a codec at a time: it may copy those that it has not used yet."""

OUTPUT = 256 * 1024
"""Most bytes that a codec returns at a time. Snappy's blocks cannot be divided."""

MAX_WINDOW = 128 * 1024 * 1024
"""Largest window of a zstd frame: that of its highest level. Only the part in use takes memory."""

_GZIP = b"\x1f\x8b"
_GZIP_FORMAT = 31  # zlib's `wbits` for a gzip header and the largest window
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER = 16

CODEC_ERRORS = (
    zlib.error,
    zstandard.ZstdError,
    cramjam.DecompressionError,
    RuntimeError,  # lz4
    ValueError,
    struct.error,
)
"""What the codecs raise for data that they cannot read."""


def inflate(codec: int, data: memoryview, limit: int) -> Iterator[bytes]:
    """Inflate `data` piece by piece.

    Args:
        codec: its number in the batch's attributes.
        limit: most bytes of all pieces together.

    Yields:
        The pieces in order, of any size.

    Raises:
        TooLargeError: there are more than `limit` bytes. At most one piece more was inflated.
        ContentError: the codec is unknown or cannot read the data.
    """
    if codec not in CODECS:
        raise ContentError(f"compression codec {codec} is unknown")
    inflated = 0
    try:
        for piece in _pieces(codec, data, limit):
            inflated += len(piece)
            if inflated > limit:
                raise TooLargeError(f"it inflates to more than {limit} bytes")
            yield piece
    except CODEC_ERRORS as error:
        raise ContentError(f"its {CODECS[codec]} data are damaged ({error})") from error


def _pieces(codec: int, data: memoryview, limit: int) -> Iterator[bytes]:
    match CODECS[codec]:
        case "gzip":
            return _gzip(data)
        case "snappy":
            return _snappy(data, limit)
        case "lz4":
            return _lz4(data)
        case _:
            return _zstd(data)


def _gzip(data: memoryview) -> Iterator[bytes]:
    at = 0
    while data[at : at + len(_GZIP)] == _GZIP:  # members may follow each other
        decoder = zlib.decompressobj(_GZIP_FORMAT)
        while not decoder.eof:
            fed = data[at : at + INPUT]
            piece = decoder.decompress(fed, OUTPUT)
            if not fed and not piece:
                raise zlib.error("cut off")
            at += len(fed) - len(decoder.unconsumed_tail) - len(decoder.unused_data)
            yield piece
        while at < len(data) and not data[at]:  # as padding, which Python's gzip skips as well
            zeros = bytes(data[at : at + INPUT])
            at += len(zeros) - len(zeros.lstrip(b"\0"))
    if at == 0:
        raise zlib.error("no gzip header")


def _lz4(data: memoryview) -> Iterator[bytes]:
    at = 0
    while at < len(data) or at == 0:  # frames may follow each other
        decoder = lz4.frame.LZ4FrameDecompressor()
        while not decoder.eof:
            fed = data[at : at + INPUT]
            if not fed:
                raise ValueError("cut off")
            at += len(fed)
            yield decoder.decompress(fed, OUTPUT)
            while not decoder.eof and not decoder.needs_input:
                yield decoder.decompress(b"", OUTPUT)
        at -= len(decoder.unused_data or b"")


def _zstd(data: memoryview) -> Iterator[bytes]:
    # The decoder reports no error for a frame that is cut off. Then records are missing.
    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    with decoder.stream_reader(data, read_size=INPUT, read_across_frames=True) as reader:
        while piece := reader.read(OUTPUT):
            yield piece


def _snappy(data: memoryview, limit: int) -> Iterator[bytes]:
    """Inflate one block, or a sequence of blocks with their lengths as Java writes it.

    A block begins with its inflated size, and the codec refuses a block that exceeds it.
    """
    if data[: len(_XERIAL)] != _XERIAL:
        yield _block(data, limit)
        return
    at = _XERIAL_HEADER
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        at += 4
        if not 0 <= length <= len(data) - at:
            raise ValueError("cut off")
        yield _block(data[at : at + length], limit)
        at += length


def _block(data: memoryview, limit: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(data) > limit:
        raise TooLargeError(f"it inflates to more than {limit} bytes")
    return bytes(cramjam.snappy.decompress_raw(data))
