"""The picture that goes back: the image with its best label and score, legible whatever it shows.

As in PaddleX, white text on a red box in the upper left corner, 5 % of the width high or down
to 2 % until it fits. Where that cannot be read, small images are enlarged, flat ones get the text
above them, and long labels end in dots. The score always stays. Where the picture has to keep the
image's size, the text gets smaller instead, and is left out where it has no room.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from worker.images.codecs import cv2
from worker.images.jpeg_encode import encode_jpeg

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Labelled", "annotate", "draw", "label_own", "label_rows", "shrink"]

MIN_SIDE = 256
"""Pixels. Images with both sides below this are enlarged; narrow ones get a margin on the right."""

MIN_TEXT = 13
"""Smallest font size in pixels that can be read."""

TINY_TEXT = 8
"""Smallest font size in pixels where the picture must keep the image's size."""

MAX_LABEL = 256
"""Characters of a label that are looked at; a longer one fits no picture."""

_LARGEST, _SMALLEST = 0.05, 0.02
_TALLEST = 0.2
"""Most of the image's height that the text takes, where it may be larger than the smallest."""

_OVERLAY = 0.25
"""A box that would cover more of the image's height than this share goes above the image."""

_TALL = "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}g|"
"""A label that is as high as any but for some scripts."""

_MARGIN = 3
_RED, _WHITE, _GREY = (0, 0, 255), (255, 255, 255), (48, 48, 48)


class _Fonts(threading.local):
    """One font per thread: a `FontFace` shared between threads draws wrong glyphs now and then."""

    def __init__(self) -> None:
        self.face = cv2.FontFace("uni")


_fonts = _Fonts()


@dataclass(frozen=True, slots=True)
class _Text:
    """A line of text, laid out.

    Attributes:
        size: font size in pixels.
        left: pixels from the origin to the left edge; not 0 for scripts written from right to left.
        ascent: pixels above the baseline.
        width: pixels covered from left to right.
        height: pixels covered from top to bottom.
    """

    line: str
    size: int
    left: int
    ascent: int
    width: int
    height: int

    @property
    def bottom(self) -> int:
        """The last row of its box."""
        return self.height + 3 * _MARGIN


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture with its label.

    Attributes:
        pixels: `[h, w, 3] uint8` BGR, contiguous.
        changed_rows: how many at the top differ from what they were, at most; None if it has
            another size.
    """

    pixels: npt.NDArray[np.uint8]
    changed_rows: int | None


def shrink(bgr: npt.NDArray[np.uint8], max_side: int) -> npt.NDArray[np.uint8]:
    """Scale an image down so that no side exceeds `max_side` pixels.

    Returns:
        The scaled image; `bgr` itself when no side does.
    """
    height, width = bgr.shape[:2]
    longest = max(height, width)
    if longest <= max_side:
        return bgr
    scale = max_side / longest
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Averaging 2x2 pixels until bilinear does the rest: 12 million pixels take 5 ms instead of the
    # 44 ms of one INTER_AREA, and look the same.
    while longest >= 2 * max_side:
        height, width, longest = max(1, height // 2), max(1, width // 2), longest // 2
        even = bgr[: 2 * height, : 2 * width]
        bgr = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def draw(picture: npt.NDArray[np.uint8], label: str | None, score: float, quality: int) -> bytes:
    """Draw the visualisation of `annotate` and encode it.

    Args:
        quality: JPEG quality, 1 to 100.

    Returns:
        The bytes of a JPEG file.
    """
    return encode_jpeg(annotate(picture, label, score), quality)


def annotate(
    picture: npt.NDArray[np.uint8], label: str | None, score: float, *, keep_size: bool = False
) -> npt.NDArray[np.uint8]:
    """Draw the visualisation.

    Args:
        picture: `[H, W, 3] uint8` BGR of any size; left as it is.
        label: the best category's label, in any script that OpenCV's built-in font has (Latin,
            Greek, Cyrillic, Chinese, Japanese, Korean; characters it lacks become question marks);
            None if there is no category, and nothing is drawn.
        score: its score, 0 to 1, written with two digits.
        keep_size: `[h, w]` is `[H, W]`, and nothing is drawn where the text has no room.

    Returns:
        `[h, w, 3] uint8` BGR, contiguous.
    """
    if label is None:
        return picture.copy()
    if not keep_size:
        return label_own(picture.copy(), label, score).pixels
    canvas = picture.copy()
    height, width = canvas.shape[:2]
    text = _laid_out(label, score, height, width)
    if not _has_room(text, width, height):
        text = _fit(_clean(label), f"{score:.2f}", width - 4 * _MARGIN, TINY_TEXT, TINY_TEXT)
    if _has_room(text, width, height):
        _write(canvas, text)
    return canvas


def label_own(picture: npt.NDArray[np.uint8], label: str | None, score: float) -> Labelled:
    """Draw the visualisation of `annotate` on a picture that nobody else needs.

    Args:
        picture: as for `annotate`; where it can be, it is drawn on.

    Returns:
        The pixels that `annotate` returns, perhaps `picture` itself.

    Raises:
        Exception: what the codec raises when it gets no memory; `picture` is as it was before.
    """
    if not picture.flags.writeable or not picture.flags.c_contiguous:
        picture = picture.copy()
    if label is None:
        return Labelled(picture, 0)
    canvas = _legible(picture)
    height, width = canvas.shape[:2]
    text = _laid_out(label, score, height, width)
    if _goes_above(text, height):
        canvas = _bordered(canvas, top=text.bottom + _MARGIN)
    _write(canvas, text)
    return Labelled(canvas, text.bottom + 1 if canvas.shape == picture.shape else None)


def label_rows(height: int, width: int) -> int | None:
    """Tell where a label will be.

    Returns:
        How many rows at the top of a picture of this size it changes at most, but for some scripts,
        about a quarter of the height or less; None if the picture gets another size for it.
    """
    if width < MIN_SIDE:
        return None
    text = _laid_out(_TALL, 0.0, height, width)
    return None if _goes_above(text, height) else text.bottom + 1


def _goes_above(text: _Text, height: int) -> bool:
    """Whether a text's box has to go above an image of this height, of which it covers too much."""
    return text.bottom > height * _OVERLAY


def _laid_out(label: str, score: float, height: int, width: int) -> _Text:
    """The text for an image of this size."""
    smallest = max(MIN_TEXT, round(width * _SMALLEST))
    largest = max(smallest, round(min(width * _LARGEST, height * _TALLEST)))
    return _fit(_clean(label), f"{score:.2f}", width - 4 * _MARGIN, largest, smallest)


def _write(canvas: npt.NDArray[np.uint8], text: _Text) -> None:
    """Write a line on its box, whole or not at all."""
    right, bottom = text.width + 3 * _MARGIN, text.bottom
    touched = canvas[: bottom + text.size, : right + text.size]
    before = touched.copy()
    try:
        cv2.rectangle(canvas, (_MARGIN, _MARGIN), (right, bottom), _RED, cv2.FILLED)
        origin = (2 * _MARGIN - text.left, 2 * _MARGIN + text.ascent)
        cv2.putText(canvas, text.line, origin, _WHITE, _fonts.face, text.size)
    except BaseException:
        touched[:] = before
        raise


def _has_room(text: _Text, width: int, height: int) -> bool:
    """Whether the text's box, with its margin, lies within an image."""
    return text.width + 4 * _MARGIN <= width and text.height + 4 * _MARGIN <= height


def _legible(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Large enough for a short line of text: the picture itself, or a copy."""
    height, width = picture.shape[:2]
    # Whole steps and no smoothing: the pixels of a tiny image stay what they are.
    factor = -(-MIN_SIDE // max(height, width))
    size = (width * factor, height * factor)
    if factor > 1:
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return _bordered(picture, right=max(0, MIN_SIDE - size[0]))


def _bordered(
    canvas: npt.NDArray[np.uint8], *, top: int = 0, right: int = 0
) -> npt.NDArray[np.uint8]:
    if not top and not right:
        return canvas
    wide = cv2.copyMakeBorder(canvas, top, 0, 0, right, cv2.BORDER_CONSTANT, value=_GREY)
    return np.asarray(wide, np.uint8)


def _clean(label: str) -> str:
    """One printable line; control characters would break it and lone surrogates the font engine."""
    cut = label[:MAX_LABEL]
    return " ".join("".join(sign if sign.isprintable() else " " for sign in cut).split())


@lru_cache(maxsize=1024)
def _fit(label: str, score: str, room: int, largest: int, smallest: int) -> _Text:
    """Label and score in `room` pixels: as large as fits, then with the label's end left out."""
    text = _measure(f"{label} {score}".strip(), largest)
    if text.width > room:
        # Widths grow with the size, only not quite evenly: start from the proportional size.
        size = min(largest - 1, max(smallest, largest * room // text.width + 1))
        text = _measure(text.line, size)
        while text.width > room and size > smallest:
            size -= 1
            text = _measure(text.line, size)
    if text.width <= room:
        return text
    # Invariant: the label's first `fits` characters fit (or none does), its first `too_many` do
    # not.
    fits, too_many = 0, len(label)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if _measure(_shortened(label, middle, score), smallest).width <= room:
            fits = middle
        else:
            too_many = middle
    return _measure(_shortened(label, fits, score), smallest)


def _shortened(label: str, characters: int, score: str) -> str:
    return f"{label[:characters].rstrip(' ,')}... {score}"


def _measure(line: str, size: int) -> _Text:
    left, top, width, height = cv2.getTextSize((0, 0), line, (0, 0), _fonts.face, size)
    return _Text(line, size, left, -top, width, height)
