"""A body put together again, in however many pieces it comes."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from worker.clock import SYSTEM_CLOCK
from worker.errors import JobError, Reason
from worker.images.fetch_body import read_image


class Content:
    """Gives a body piece by piece.

    Attributes:
        left: the pieces that have not been read.
    """

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.left = list(pieces)

    async def readany(self) -> bytes:
        return self.left.pop(0) if self.left else b""


async def read(content: Content, most: int = 10_000) -> bytes:
    response: Any = SimpleNamespace(status=200, headers={}, content_length=None, content=content)
    return await read_image(response, most, SYSTEM_CLOCK)


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 128, 1000])
async def test_a_body_in_pieces(count: int) -> None:
    pieces = [b"%d," % number for number in range(count)]
    body = await read(Content(pieces))
    assert type(body) is bytes
    assert body == b"".join(pieces)


async def test_a_body_in_one_piece_is_not_copied() -> None:
    piece = b"\xff\xd8" * 1000
    assert await read(Content([piece])) is piece


@pytest.mark.parametrize("size", [1, 100])
async def test_nothing_is_read_beyond_the_limit(size: int) -> None:
    content = Content([b"x" * size] * 1000)
    with pytest.raises(JobError) as caught:
        await read(content, 500)
    assert caught.value.reason is Reason.TOO_LARGE
    assert len(content.left) == 1000 - 500 // size - 1
