"""Images prepared as the engine prepares them, without an engine."""

from __future__ import annotations

from worker.errors import JobError
from worker.images.preparation import prepare_image
from worker.images.prepare import Prepared
from worker.images.transform import Transform
from worker.settings import DecodeSettings

__all__ = ["no_url", "prepared"]


def prepared(content: object, transform: Transform, limits: DecodeSettings) -> Prepared | JobError:
    """The image in full size and as the model sees it, or what is wrong with it."""
    if isinstance(content, JobError):
        return content
    try:
        return prepare_image(content, transform, limits, limits.max_side)  # type: ignore[arg-type]
    except JobError as error:
        return error


def no_url(url: str) -> bytes:
    """Stands for fetching where nothing is to be fetched."""
    raise AssertionError(url)
