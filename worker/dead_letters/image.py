"""The image in a dead letter: the bytes that the producer sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from worker.contract.jobs import EncodedImage, RawImage, UrlImage
from worker.contract.letters import own_headers
from worker.contract.parsing import parse_job
from worker.contract.records import Record
from worker.errors import JobError, WorkerError
from worker.images.base64 import decode_image_text
from worker.images.sniffing import sniff
from worker.redaction import without_secrets

__all__ = ["image_of", "save_image"]

UNKNOWN_SUFFIX = ".bin"
"""Of what is no image: that may be why the job failed, and is worth a look."""


def image_of(record: Record) -> bytes:
    """Get the image that a letter's record holds, in any of the ways in which images are sent.

    Returns:
        The encoded image as the producer made it, whatever it is.

    Raises:
        WorkerError: the letter has none; the message says why, and where it may be.
    """
    if not record.value:
        raise WorkerError("the letter has no value, and so no image")
    try:
        image = parse_job(replace(record, headers=own_headers(record.headers))).image
        match image:
            case UrlImage(url):
                raise WorkerError(
                    "the job has no image of its own, only its URL, which the worker fetched: "
                    f"{without_secrets(url)}"
                )
            case RawImage(data):
                return data
            case EncodedImage(text):
                return decode_image_text(text, len(text))
    except JobError as error:
        raise WorkerError(f"no image can be read from the letter: {error}") from error


def save_image(data: bytes, target: Path, name: str) -> Path:
    """Write an image to a file that does not exist yet.

    Args:
        target: a file, whose name gets the format's suffix if it has none; or a directory.
        name: of the file in a directory, without its suffix.

    Returns:
        The file.

    Raises:
        WorkerError: the file exists, or cannot be written.
    """
    try:
        suffix = sniff(data).suffixes[0]
    except JobError:
        suffix = UNKNOWN_SUFFIX
    if target.is_dir():
        target = target / name.replace("/", "_")
        target = target.with_name(f"{target.name}{suffix}")
    elif not target.suffix:
        target = target.with_name(f"{target.name}{suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.write(data)
    except FileExistsError as error:
        raise WorkerError(f"{target} exists: move it, or choose another name") from error
    except OSError as error:
        raise WorkerError(f"{target} cannot be written: {error.strerror}") from error
    return target
