"""A model that answers quickly and wrongly, where anything but the answers is looked at."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["make_quick"]


def make_quick(model_dir: Path, directory: Path) -> Path:
    """Copy a model of `demo.model`, with images of 32 x 32 pixels instead of 224 x 224.

    Args:
        directory: is made; it must not exist.

    Returns:
        The directory. The network is quicker there, but no answer is right.
    """
    shutil.copytree(model_dir, directory)
    description = directory / "inference.yml"
    text = description.read_text("utf-8")
    for line, smaller in [("resize_short: 256", "resize_short: 36"), ("size: 224", "size: 32")]:
        assert text.count(line) == 1
        text = text.replace(line, smaller)
    description.write_text(text, "utf-8")
    return directory
