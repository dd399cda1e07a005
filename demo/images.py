"""Real photographs that come with pip packages, and what the demo's model sees in each.

The class ids of the files from `foolbox` are ImageNet's own labels. All were checked by eye and by
the model of `demo.model`, whose top-1 class they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from demo.errors import DemoError

__all__ = ["Photograph", "photographs"]


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph on disk.

    Attributes:
        name: short, unique, fit for a file name.
        path: a JPEG or PNG file inside an installed package.
        class_id: the ImageNet-1k class of what it shows, 0 to 999.
        label: the first name of that class.
    """

    name: str
    path: Path
    class_id: int
    label: str


_FOOLBOX = {
    "00_243": "bull mastiff",
    "01_559": "folding chair",
    "03_990": "buckeye",
    "04_949": "strawberry",
    "05_853": "thatch",
    "08_915": "yurt",
    "09_455": "bottlecap",
    "10_541": "drum",
    "13_471": "cannon",
    "15_99": "goose",
    "16_251": "dalmatian",
    "17_22": "bald eagle",
    "18_317": "leafhopper",
}
_SKIMAGE = {
    "camera.png": (872, "tripod"),  # greyscale
    "chelsea.png": (282, "tiger cat"),
    "coffee.png": (967, "espresso"),
}


def photographs() -> tuple[Photograph, ...]:
    """Find the photographs.

    Returns:
        The photographs, always in the same order.

    Raises:
        DemoError: a package of the extra `demo` is missing or lacks a file.
    """
    foolbox, skimage = _package_directory("foolbox"), _package_directory("skimage")
    found = [
        Photograph(
            name=label.replace(" ", "-"),
            path=foolbox / "data" / f"imagenet_{key}.jpg",
            class_id=int(key.partition("_")[2]),
            label=label,
        )
        for key, label in _FOOLBOX.items()
    ]
    found += [
        Photograph(Path(file).stem, skimage / "data" / file, class_id, label)
        for file, (class_id, label) in _SKIMAGE.items()
    ]
    for photograph in found:
        if not photograph.path.is_file():
            raise DemoError(f"{photograph.path} is missing: install the extra 'demo' again.")
    return tuple(found)


def _package_directory(package: str) -> Path:
    """Find the directory of an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise DemoError(f"The package {package!r} is missing: install the extra 'demo'.")
    return Path(spec.origin).parent
