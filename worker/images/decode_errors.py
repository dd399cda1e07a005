"""What is answered for an image that cannot be decoded: it is damaged, or of a rare kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.errors import JobError, Reason

if TYPE_CHECKING:
    from worker.image_formats import ImageFormat

__all__ = ["UnsupportedError", "damaged", "unsupported"]


class UnsupportedError(ValueError):
    """A header says that the file is of a kind that is not decoded here; the message names it."""


def damaged(found: ImageFormat, why: str) -> JobError:
    """Make the error for a file that is an image, but not a whole one.

    Args:
        found: the file's format.
        why: the decoder's own words.

    Returns:
        The error, `CORRUPT_IMAGE`, not raised.
    """
    return JobError(
        Reason.CORRUPT_IMAGE,
        f"the {found} file is cut off or damaged ({why}): send the whole file, or save it as JPEG "
        "or PNG",
    )


def unsupported(found: ImageFormat, what: str) -> JobError:
    """Make the error for an intact file of a rare kind.

    Args:
        what: names the kind, such as `12-bit`.
        found: the file's format.

    Returns:
        The error, `NOT_AN_IMAGE`, not raised.
    """
    return JobError(
        Reason.NOT_AN_IMAGE,
        f"the {found} file is {what}, which is not decoded here: save it as an ordinary JPEG or "
        "PNG",
    )
