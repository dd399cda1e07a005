"""What a caller wants classified, and how it becomes what is sent."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from worker.contract.jobs import RawImage, UrlImage
from worker.errors import JobError, Reason, SettingsError
from worker.images.local_files import read_file
from worker.images.sniffing import sniff

__all__ = [
    "Content",
    "JobRequest",
    "Source",
    "check_limits",
    "check_several",
    "content_of",
    "content_type",
    "read_image",
    "size_of",
]

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | Mapping[str, Any]
"""What may be classified: the path of a file; a URL, which the worker fetches; the bytes of an
image file; or a job as `schemas/job.schema.json` describes it, which is sent as it is."""

Content = Path | UrlImage | RawImage | Mapping[str, Any]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A source with options of its own, wherever a source may be.

    Attributes:
        image: the source.
        job_id: the job's id; None makes a unique one. It is the producer's own name for the job.
        top_k: most categories in the result, 1 or more; None leaves it to the call, and then to the
            worker.
        visualize: whether the result has a picture; None likewise.
        send_as: how bytes travel, see `KafkaClient`; None leaves it to the client.
    """

    image: Source
    job_id: str | None = None
    top_k: int | None = None
    visualize: bool | None = None
    send_as: Literal["raw", "base64"] | None = None


def content_of(image: Source) -> Content:
    """Find out what a source is.

    Returns:
        A path, a URL, bytes that the caller can no longer change, or a job.

    Raises:
        TypeError: it is none of these.
    """
    match image:
        case str() if _URL.match(image):
            return UrlImage(image)
        case str() | os.PathLike():
            return Path(image)
        case bytes() | bytearray() | memoryview():
            return RawImage(bytes(image))
        case Mapping():
            return image
        case _:
            raise TypeError(
                f"{type(image).__name__} is no image: pass a path, a URL, the bytes of an image "
                "file, or a job as a dict"
            )


def check_several(images: object) -> None:
    """Refuse one image where several are wanted: a text would be iterated letter by letter.

    Raises:
        TypeError: it is one image.
    """
    if isinstance(images, str | os.PathLike | bytes | bytearray | memoryview | Mapping):
        raise TypeError("classify_many takes several images: pass a list, or another iterable")


def check_limits(**limits: int | None) -> None:
    """Refuse limits with which no image would ever be taken.

    Args:
        limits: by the names of arguments; None is no limit of the caller's.

    Raises:
        SettingsError: one is below 1.
    """
    for name, value in limits.items():
        if value is not None and value < 1:
            raise SettingsError(f"{name} is to be 1 or more, not {value}")


def size_of(image: Source) -> int:
    """Tell how many bytes a source holds before it is sent; 0 for a path, which is read later."""
    return len(image) if isinstance(image, bytes | bytearray) else getattr(image, "nbytes", 0)


async def read_image(content: Path | RawImage, most: int) -> bytes:
    """Get the bytes of an image file.

    Args:
        most: bytes that are accepted.

    Returns:
        Its bytes, one or more.

    Raises:
        JobError: it cannot be read, is empty, or has more bytes.
    """
    if isinstance(content, RawImage):
        what, data = "image", content.data
    else:
        # In a thread: a disk, or a network behind it, may be slow.
        what, data = "file", await asyncio.to_thread(read_file, content, most)
    if not data:
        raise JobError(Reason.NOT_AN_IMAGE, f"the {what} is empty")
    if len(data) > most:
        raise JobError(
            Reason.TOO_LARGE, f"the {what} has more than the {most} bytes that are accepted"
        )
    return data


def content_type(image: bytes) -> str:
    """Name the type of an image file.

    Returns:
        `image/...`; `image/unknown` for what no worker reads: it says better what is wrong with it.
    """
    try:
        return sniff(image).media_type
    except JobError:
        return "image/unknown"
