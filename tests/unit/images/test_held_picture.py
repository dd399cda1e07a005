"""Pictures that are encoded before their label is known: the answer is the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from tests.support.make import Pixels, noise
from worker.images import held_picture
from worker.images.draw import draw
from worker.images.held_picture import HeldPicture
from worker.images.jpeg_encode import continue_jpeg, encode_jpeg

LONG = "leatherback turtle, leatherback, leathery turtle, Dermochelys coriacea"


@pytest.fixture
def heights(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The heights of all that is encoded."""
    seen: list[int] = []

    def watched(encode: Callable[..., bytes], bgr: Pixels, *given: int) -> bytes:
        seen.append(len(bgr))
        return encode(bgr, *given)

    for encode in (encode_jpeg, continue_jpeg):
        monkeypatch.setattr(held_picture, encode.__name__, partial(watched, encode))
    return seen


def held(picture: Pixels) -> HeldPicture:
    return HeldPicture(picture.copy())


@pytest.mark.parametrize("label", ["cat", LONG, "W" * 600, "猫", "Ảg̃y|", "", None])
@pytest.mark.parametrize(
    "size",
    [(640, 480), (1024, 683), (256, 256), (1, 1), (60, 40), (2000, 20), (20, 2000), (301, 197)],
)
def test_the_answer_is_the_same(size: tuple[int, int], label: str | None) -> None:
    picture = noise(*size)
    expected = draw(picture, label, 0.5, 85)
    assert held(picture).draw(label, 0.5, 85) == expected
    for early in (85, 84):
        one = held(picture)
        one.encode_early(early)
        assert one.draw(label, 0.5, 85) == expected


@pytest.mark.parametrize("label", ["cat", LONG, "猫", "Ảg̃y|", None])
def test_all_but_the_rows_of_the_label_is_encoded_before(
    label: str | None, heights: list[int]
) -> None:
    one = held(noise(640, 480))
    one.encode_early(85)
    one.draw(label, 0.5, 85)
    rest, top = heights
    assert rest + top == 480
    assert top <= 64


def test_a_label_that_is_higher_than_others_is_drawn_whole(
    heights: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = noise(640, 480)
    monkeypatch.setattr(held_picture, "label_rows", lambda *_: 1)
    one = held(picture)
    one.encode_early(85)
    assert one.draw("cat", 0.5, 85) == draw(picture, "cat", 0.5, 85)
    assert heights == [464, 480]


@pytest.mark.parametrize("size", [(640, 48), (200, 900), (60, 40)])
def test_a_picture_that_gets_another_size_is_not_encoded_before(
    size: tuple[int, int], heights: list[int]
) -> None:
    one = held(noise(*size))
    one.encode_early(85)
    assert heights == []
    one.draw("cat", 0.5, 85)
    assert len(heights) == 1


def test_a_picture_that_cannot_be_drawn_on_is_copied() -> None:
    picture = noise(640, 480)
    read_only = picture.copy()
    read_only.flags.writeable = False
    for given in (read_only, np.repeat(picture, 2, axis=1)[:, ::2]):
        one = HeldPicture(given)
        one.encode_early(85)
        assert one.draw("cat", 0.5, 85) == draw(picture, "cat", 0.5, 85)
        assert np.array_equal(given, picture)


def test_what_got_no_memory_comes_again(
    heights: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = noise(640, 480)
    one = held(picture)
    with monkeypatch.context() as short:

        def fail(*_: object) -> bytes:
            raise MemoryError

        short.setattr(held_picture, "encode_jpeg", fail)
        short.setattr(held_picture, "continue_jpeg", fail)
        for attempt in (lambda: one.encode_early(85), lambda: one.draw("cat", 0.5, 85)):
            with pytest.raises(MemoryError):
                attempt()
    # It has its label by now, of which nothing must be lost.
    one.encode_early(85)
    assert heights == []
    assert one.draw("cat", 0.5, 85) == draw(picture, "cat", 0.5, 85)
