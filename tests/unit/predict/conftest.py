"""Images made on the spot, for what reads and saves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

MakeImage = Callable[..., Path]


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """Writes one-coloured images: `make_image("a.png", (blue, green, red), size=(w, h))`."""

    def make(
        name: str, colour: tuple[int, int, int] = (10, 200, 30), size: tuple[int, int] = (400, 300)
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels: npt.NDArray[np.uint8] = np.full((size[1], size[0], 3), colour, np.uint8)
        assert cv2.imwrite(str(path), pixels)
        return path

    return make
