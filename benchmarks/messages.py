"""Jobs as they come in: Base64 in JSON, raw bytes, or an address on loopback."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from worker.contract.job_messages import JobEnvelope
from worker.contract.records import Message

__all__ = ["WAYS", "Way", "job_messages"]

Way = Literal["base64", "raw", "url"]

WAYS: tuple[Way, ...] = ("base64", "raw", "url")


def job_messages(
    way: Way, images: Sequence[bytes], *, pictures: bool, base: str = "", top_k: int | None = None
) -> list[Message]:
    """Write a job for each image.

    Args:
        images: encoded as JPEG or PNG.
        base: the address of `image_server`, for `url`.

    Returns:
        The messages, without keys.
    """
    envelope = JobEnvelope("bench", "bench", top_k, visualize=pictures)
    match way:
        case "base64":
            return [envelope.with_base64(image) for image in images]
        case "raw":
            return [envelope.with_raw(image, _content_type(image)) for image in images]
        case "url":
            return [envelope.with_url(f"{base}/{number}") for number in range(len(images))]


def _content_type(image: bytes) -> str:
    return "image/png" if image.startswith(b"\x89PNG") else "image/jpeg"
