"""A decoded image on its way to the predictor, and the picture that waits for its label."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from worker.imaging.process import ImageProcess
from worker.imaging.protocol import LocalImage, Pixels

__all__ = ["Picture", "PreparedImage"]


@dataclass(slots=True, eq=False)
class Picture:
    """A picture that waits for its label, in the process that decoded its image.

    Attributes:
        image: to be decoded again if that process is gone.
        side: longest side of the picture in pixels.
        nbytes: of its pixels.
    """

    image: LocalImage = field(repr=False)
    side: int
    process: ImageProcess
    number: int
    nbytes: int


@dataclass(slots=True, eq=False)
class PreparedImage:
    """A decoded image on its way to the predictor; `ImageProcesses.release` ends it.

    Attributes:
        crop: `[H, W, 3] uint8`, in memory that is shared with the image processes.
        picture: to draw on; None if none was asked for.
        pixels: the whole image, `[h, w, 3] uint8` BGR; None unless asked for.
    """

    crop: npt.NDArray[np.uint8]
    cell: int | None
    picture: Picture | None = None
    pixels: Pixels | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of pixels held."""
        held = self.crop.nbytes
        held += 0 if self.picture is None else self.picture.nbytes
        return held + (0 if self.pixels is None else self.pixels.nbytes)
