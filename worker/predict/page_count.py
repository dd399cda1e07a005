"""How many images a file holds, before any of them is classified."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from worker.errors import JobError
from worker.image_formats import ImageFormat
from worker.images.pdf import PdfFile
from worker.images.tiff import page_offsets
from worker.predict.inputs import Source
from worker.predict.pages import PDF_SUFFIX
from worker.settings import DecodeSettings

__all__ = ["count_images"]


def count_images(source: Source) -> int:
    """Count the pages of a TIFF or PDF file.

    Returns:
        The number of pages; 1 for any other source, for a URL, and for a file that cannot be read:
        classifying it reports why.
    """
    if not isinstance(source.content, Path):
        return 1
    suffix = source.content.suffix.lower()
    try:
        with source.content.open("rb") as file:
            if suffix in ImageFormat.TIFF.suffixes:
                return max(1, len(page_offsets(file.read(DecodeSettings().max_bytes))))
            if suffix == PDF_SUFFIX:
                with closing(PdfFile(file)) as pdf:
                    return len(pdf)
    except (JobError, OSError, ValueError):
        pass
    return 1
