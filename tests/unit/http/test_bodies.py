"""Bodies that clients compress, in every way that they arrive, and damaged."""

from __future__ import annotations

import gzip
import zlib
from hashlib import sha256

import pytest

from worker.http.bodies import PIECE, DamagedBodyError, Decoder

# Hardly any of the digests shrinks, nearly all of the zeros does.
PLAIN = b"".join(sha256(b"%d" % n).digest() for n in range(1500)) + bytes(500_000)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


SENT = {
    "": PLAIN,
    "identity": PLAIN,
    "gzip": gzip.compress(PLAIN),
    "x-gzip": gzip.compress(PLAIN[:9]) + gzip.compress(b"") + gzip.compress(PLAIN[9:]),
    "deflate": zlib.compress(PLAIN),
}


def decoded(coding: str, data: bytes, size: int) -> bytes:
    """`data`, arriving `size` bytes at a time, as it was."""
    decoder = Decoder(coding)
    pieces = [
        piece for at in range(0, len(data), size) for piece in decoder.feed(data[at : at + size])
    ]
    decoder.end()
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
@pytest.mark.parametrize(("coding", "sent"), SENT.items())
def test_bodies_are_what_was_compressed(coding: str, sent: bytes, size: int) -> None:
    assert decoded(coding, sent, size) == PLAIN


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_deflate_without_the_format_around_it(size: int) -> None:
    assert decoded("deflate", raw_deflate(PLAIN), size) == PLAIN


@pytest.mark.parametrize("length", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_nothing_stays_behind_where_a_piece_ends(length: int) -> None:
    assert decoded("gzip", gzip.compress(bytes(length)), 1 << 20) == bytes(length)


def test_a_bomb_comes_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(20 << 20))

    assert max(map(len, Decoder("gzip").feed(bomb))) <= PIECE


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_is_not_what_it_says(coding: str) -> None:
    with pytest.raises(DamagedBodyError, match=f"is not {coding}, as its Content-Encoding says"):
        decoded(coding, b'{"image": 5}', 100)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_ends_too_early(coding: str) -> None:
    with pytest.raises(DamagedBodyError, match="ends before"):
        decoded(coding, SENT[coding][:-1], 100)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_goes_on_after_its_end(coding: str) -> None:
    with pytest.raises(DamagedBodyError, match=f"is not {coding}"):
        decoded(coding, SENT[coding] + b"more", 1 << 20)
