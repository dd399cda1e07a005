"""A picture that waits for its label; most of it can be encoded before the label is known.

The label changes some rows at the top, and JPEG codes rows in their order. So those below can be
encoded while the network computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.images.draw import label_own, label_rows
from worker.images.jpeg_encode import BLOCK, continue_jpeg, encode_jpeg, join

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from worker.images.draw import Labelled

__all__ = ["HeldPicture"]


@dataclass(frozen=True, slots=True)
class _Rest:
    """What is encoded of a picture; `above` is the number of pixel rows that are not."""

    above: int
    quality: int
    jpeg: bytes


class HeldPicture:
    """A picture that waits for its label.

    Args:
        pixels: `[H, W, 3] uint8` BGR, which nobody else needs.
    """

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        self._pixels = pixels
        self._rest: _Rest | None = None
        # A call that got no memory to encode it comes again, and nothing is drawn twice.
        self._labelled: Labelled | None = None

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The picture, perhaps with its label."""
        return self._pixels

    def encode_early(self, quality: int) -> None:
        """Encode most of it before its label is known; `draw` returns the same in any case.

        Args:
            quality: with which it is going to be drawn, 1 to 100.

        Raises:
            MemoryError: there is no memory left; `cv2.error` may mean the same.
        """
        height, width = self._pixels.shape[:2]
        changed = label_rows(height, width)
        if changed is None or self._labelled is not None:
            return
        rows = -(-changed // BLOCK)
        above = rows * BLOCK
        self._rest = _Rest(above, quality, continue_jpeg(self._pixels[above:], quality, rows))

    def draw(self, label: str | None, score: float, quality: int) -> bytes:
        """Draw its label, as `worker.images.draw.draw` does.

        Args:
            label: None if there is none; then nothing is drawn. The first one counts.
            score: 0 to 1.
            quality: 1 to 100.

        Returns:
            The bytes of a JPEG file.

        Raises:
            MemoryError: there is no memory left; `cv2.error` may mean the same. It may be called
                again.
        """
        if self._labelled is None:
            self._labelled = label_own(self._pixels, label, score)
            self._pixels = self._labelled.pixels
        pixels, changed, rest = self._pixels, self._labelled.changed_rows, self._rest
        if rest is None or rest.quality != quality or changed is None or changed > rest.above:
            return encode_jpeg(pixels, quality)
        return join(encode_jpeg(pixels[: rest.above], quality), rest.jpeg)
