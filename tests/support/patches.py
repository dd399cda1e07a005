"""A small data set with classes of its own: patches of eight photographs of scikit-image."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from PIL import Image

__all__ = ["CLASSES", "TEST_IMAGES", "TRAIN_IMAGES", "write_patches"]

CLASSES = {
    "brick wall": ("brick.png", 5, 5, 14),
    "coffee cup": ("coffee.png", 5, 5, 14),
    "grass": ("grass.png", 5, 5, 14),
    "gravel": ("gravel.png", 5, 5, 14),
    "moon": ("moon.png", 5, 5, 15),
    "printed page": ("page.png", 2, 5, 7),
    "retina": ("retina.jpg", 5, 5, 15),
    "tissue": ("ihc.png", 5, 5, 15),
}
"""For each class its photograph, the rows and columns that it is cut into, and how many of these
patches are to train with: the first ones, so that they and those to test with lie apart."""

TRAIN_IMAGES = sum(train for *_, train in CLASSES.values())
TEST_IMAGES = sum(rows * columns - train for _, rows, columns, train in CLASSES.values())


def write_patches(directory: Path) -> Path:
    """Write `DIR/{train,test}/CLASS/*.png`, with spaces in names.

    Returns:
        The directory, which is made.
    """
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    photographs = Path(spec.origin).parent / "data"
    for name, (file, rows, columns, train) in CLASSES.items():
        with Image.open(photographs / file) as photograph:
            width, height = photograph.width // columns, photograph.height // rows
            for number in range(rows * columns):
                row, column = divmod(number, columns)
                left, top = column * width, row * height
                patch = photograph.crop((left, top, left + width, top + height))
                folder = directory / ("train" if number < train else "test") / name
                folder.mkdir(parents=True, exist_ok=True)
                patch.save(folder / f"{name} {number + 1}.png")
    return directory
