"""The photographs of all benchmarks, in any size, as JPEG files."""

from __future__ import annotations

from pathlib import Path

import cv2

__all__ = ["make_images"]

PHOTOGRAPHS = ("astronaut.jpg", "coffee.jpg", "china.jpg", "flower.jpg")
QUALITY = 92
SOURCE = Path(__file__).parents[1] / "tests" / "data" / "images"


def make_images(directory: Path, width: int = 640, height: int = 480) -> list[Path]:
    """Write the photographs in one size: about 100 KB each in 640x480, the default.

    Args:
        directory: for the files.

    Returns:
        The files, the same on every machine but for what versions of OpenCV change.
    """
    found = []
    for name in PHOTOGRAPHS:
        path = directory / f"{width}x{height}-{name}"
        pixels = cv2.imread(str(SOURCE / name))
        assert pixels is not None
        scaled = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(path), scaled, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        found.append(path)
    return found
