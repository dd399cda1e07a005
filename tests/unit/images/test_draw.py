from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest

from tests.support.make import Pixels, noise
from worker.images.draw import MIN_SIDE, annotate, draw, label_own, shrink
from worker.images.jpeg_encode import encode_jpeg

LONG = "leatherback turtle, leatherback, leathery turtle, Dermochelys coriacea"
RED = np.array([0, 0, 255])


def drawn(picture: Pixels, label: str = "tabby", score: float = 0.39) -> Pixels:
    decoded = cv2.imdecode(np.frombuffer(draw(picture, label, score, 95), np.uint8), 1)
    assert decoded is not None
    return np.asarray(decoded, np.uint8)


def box(picture: Pixels) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the red box; the picture itself must not be red."""
    red = np.all(np.abs(picture.astype(int) - RED) < 60, axis=2)
    rows, columns = np.flatnonzero(np.any(red, axis=1)), np.flatnonzero(np.any(red, axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def plain(width: int, height: int, level: int = 128) -> Pixels:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize(
    ("width", "height"),
    [(640, 480), (256, 256), (1, 1), (2, 3), (60, 40), (2000, 20), (20, 2000), (1600, 1200)],
)
@pytest.mark.parametrize("label", ["tabby", LONG, "W" * 600, "虎猫、トラねこ", ""])
def test_label_and_score_lie_within_the_picture_and_stand_out(
    width: int, height: int, level: int, label: str
) -> None:
    picture = drawn(plain(width, height, level), label)
    left, top, right, bottom = box(picture)
    assert 0 < left < right < picture.shape[1]
    assert 0 < top < bottom < picture.shape[0]
    assert bottom - top >= 13  # high enough to read
    inside = picture[top:bottom, left:right]
    white = np.all(inside > 200, axis=2)
    assert np.any(white)
    # Nothing of the text is cut off: its edges are within the box.
    columns = np.flatnonzero(np.any(white, axis=0))
    rows = np.flatnonzero(np.any(white, axis=1))
    assert columns[0] >= 1
    assert columns[-1] < right - left - 1
    assert rows[0] >= 1
    assert rows[-1] < bottom - top - 1


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (640, 480)), ((256, 20), None), ((100, 80), (300, 240)), ((1, 1), (256, 256))],
)
def test_ordinary_pictures_keep_their_size_and_small_ones_grow_in_whole_steps(
    size: tuple[int, int], expected: tuple[int, int] | None
) -> None:
    picture = drawn(plain(*size))
    if expected is None:  # a flat picture: the text goes above it
        assert picture.shape[1] == 256
        assert picture.shape[0] > size[1] + 13
        assert box(picture)[3] <= picture.shape[0] - size[1]
    else:
        assert picture.shape == (expected[1], expected[0], 3)


def test_a_narrow_picture_gets_a_margin() -> None:
    picture = drawn(plain(20, 2000, 255))
    assert picture.shape == (2000, MIN_SIDE, 3)
    assert (picture[1000, :20] > 240).all()
    assert (picture[1000, 30:] < 80).all()


def test_text_is_as_large_as_fits() -> None:
    def height(label: str) -> int:
        _, top, _, bottom = box(drawn(plain(1000, 1000), label))
        return bottom - top

    assert height("tabby") > 50  # 5 % of the width, and margins
    assert height(LONG) < height(LONG[:40]) < height("tabby")
    assert height("W" * 600) >= 20  # 2 % of the width at least


def test_a_label_too_long_loses_its_end_and_not_the_score() -> None:
    cut = drawn(plain(300, 300), LONG)
    other = drawn(plain(300, 300), LONG + " and much more that nobody will see")
    assert np.array_equal(cut, other)
    assert not np.array_equal(cut, drawn(plain(300, 300), LONG, 0.87))


def test_two_digits_of_the_score_are_drawn() -> None:
    picture = plain(300, 300)
    assert draw(picture, "cat", 0.304, 85) == draw(picture, "cat", 0.3, 85)
    assert draw(picture, "cat", 0.306, 85) != draw(picture, "cat", 0.3, 85)


@pytest.mark.parametrize(
    "label", ["bad\nlabel", "bad\x00label", "bad\ud800label", " bad \t label "]
)
def test_what_cannot_be_printed_becomes_a_space(label: str) -> None:
    picture = plain(300, 300)
    assert draw(picture, label, 0.5, 85) == draw(picture, "bad label", 0.5, 85)


@pytest.mark.parametrize("label", ["虎", "猫", "ß", "Ж", "λ", "고"])
def test_other_scripts_are_drawn_and_not_replaced(label: str) -> None:
    picture = plain(300, 300)
    assert draw(picture, label, 0.5, 85) != draw(picture, "?", 0.5, 85)


def test_the_given_picture_is_left_as_it_is() -> None:
    for picture in (noise(640, 480), noise(640, 480)[::2, ::2], noise(8, 8)):
        before = picture.copy()
        draw(picture, "cat", 0.5, 85)
        assert np.array_equal(picture, before)


@pytest.mark.parametrize("label", ["cat", LONG, "W" * 600, "猫", "", None])
@pytest.mark.parametrize(
    "size", [(640, 480), (256, 256), (1, 1), (60, 40), (2000, 20), (20, 2000), (301, 97)]
)
def test_a_picture_that_nobody_else_needs_gets_the_same_label(
    size: tuple[int, int], label: str | None
) -> None:
    picture = noise(*size).copy()
    expected = annotate(picture, label, 0.5)
    read_only = picture.copy()
    read_only.flags.writeable = False
    wide = np.repeat(picture, 2, axis=1)[:, ::2]
    for given in (read_only, wide, picture):
        labelled = label_own(given, label, 0.5)
        assert np.array_equal(labelled.pixels, expected)
        if (rows := labelled.changed_rows) is not None:
            assert np.array_equal(expected[rows:], read_only[rows:])
    assert np.array_equal(read_only, wide)
    assert encode_jpeg(expected, 85) == draw(read_only, label, 0.5, 85)


def test_an_ordinary_picture_that_nobody_else_needs_is_not_copied() -> None:
    picture = noise(640, 480).copy()
    labelled = label_own(picture, "cat", 0.5)
    assert labelled.pixels is picture
    assert labelled.changed_rows is not None
    assert labelled.changed_rows < 64


def test_a_label_is_drawn_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = noise(640, 480).copy()
    before, expected = picture.copy(), annotate(picture, "cat", 0.5)
    half = np.zeros((40, 10, 3), np.uint8)

    def fail(canvas: Pixels, *_: object) -> None:
        canvas[: half.shape[0], : half.shape[1]] = half
        raise MemoryError

    with monkeypatch.context() as short:
        short.setattr(cv2, "putText", fail)
        with pytest.raises(MemoryError):
            label_own(picture, "cat", 0.5)
    assert np.array_equal(picture, before)
    assert np.array_equal(label_own(picture, "cat", 0.5).pixels, expected)


def test_without_a_category_nothing_is_drawn() -> None:
    picture = plain(40, 30)
    picture[:, :20] = 200
    assert draw(picture, None, 0.0, 90) == encode_jpeg(picture, 90)
    result = annotate(picture, None, 0.0)
    assert np.array_equal(result, picture)
    assert not np.shares_memory(result, picture)


def test_the_quality_is_the_callers() -> None:
    picture = noise(640, 480)
    sizes = [len(draw(picture, "cat", 0.5, quality)) for quality in (1, 50, 85, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] / 4


def test_threads_draw_what_one_draws() -> None:
    """A font shared between threads gets a glyph wrong in a thousand: see `_Fonts`."""
    labels = [f"{chr(0x4E00 + 7 * n)}{chr(0x5E00 + 5 * n)} {n}" for n in range(60)]
    pictures = [plain(300 + 9 * n, 120 + n) for n in range(6)]  # each has its own font size
    expected = {
        (label, number): draw(picture, label, 0.5, 85)
        for label in labels
        for number, picture in enumerate(pictures)
    }
    wrong: list[str] = []

    def work(seed: int) -> None:
        for step in range(4 * len(labels)):
            label = labels[(step * (seed + 1) + seed * 7) % len(labels)]
            for number, picture in enumerate(pictures):
                if draw(picture, label, 0.5, 85) != expected[label, number]:
                    wrong.append(label)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((6000, 4000), 1024, (1024, 683)),
        ((4000, 6000), 1024, (683, 1024)),
        ((4001, 3001), 500, (500, 375)),
        ((2000, 1), 100, (100, 1)),
        ((3, 2001), 100, (1, 100)),
        ((1024, 1024), 1024, (1024, 1024)),
        ((1, 1), 32, (1, 1)),
    ],
)
def test_shrink(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    picture = plain(*size)
    small = shrink(picture, side)
    assert small.shape == (expected[1], expected[0], 3)
    assert (small is picture) == (max(size) <= side)


def test_shrink_averages_and_does_not_pick() -> None:
    """Every pixel counts: a fine checkerboard becomes grey, and edges stay where they were."""
    board = np.zeros((1200, 1600, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    small = shrink(board, 200)
    assert np.abs(small.astype(int) - 127).max() <= 1
    halves = np.zeros((1201, 1601, 3), np.uint8)
    halves[:, 800:] = 255
    small = shrink(halves, 160)
    assert small[60, 78].max() < 20
    assert small[60, 82].min() > 235
