"""The jobs of a run: a pure function of the seed, with small images and several ways in."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from chaos.history import Way
from worker.contract.job_messages import JobEnvelope
from worker.contract.records import Message

__all__ = ["Draft", "make_drafts", "make_image"]

_WAYS = {Way.RAW: 45, Way.BASE64: 35, Way.URL: 15, Way.BROKEN: 5}
_PICTURES = 0.05
"""Share of jobs that ask for a picture."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A job that is to be sent.

    Attributes:
        spot: chooses its partition; taken modulo how many there are.
    """

    job_id: str
    way: Way
    visualize: bool
    spot: int

    def message(self, image: bytes, url: Callable[[str], str]) -> Message:
        """Make the record.

        Args:
            image: the encoded JPEG.
            url: makes the address of an image from its name.

        Returns:
            A message without a key; its header `correlation-id` is the job's id.
        """
        envelope = JobEnvelope(self.job_id, self.job_id, 1, self.visualize)
        match self.way:
            case Way.RAW:
                return envelope.with_raw(image, "image/jpeg")
            case Way.BASE64:
                return envelope.with_base64(image)
            case Way.URL:
                return envelope.with_url(url(self.job_id))
            case Way.BROKEN:
                return envelope.with_base64(b"no image at all " + self.job_id.encode())


def make_drafts(seed: int, jobs: int) -> Iterator[Draft]:
    """Draw the jobs, in the order in which they are sent.

    Yields:
        The drafts; the same for the same arguments, on every machine.
    """
    draw = random.Random(f"jobs {seed}")  # noqa: S311 - everyone is to draw the same again
    ways = draw.choices(list(_WAYS), list(_WAYS.values()), k=jobs)
    for number, way in enumerate(ways):
        yield Draft(f"job-{number:06d}", way, draw.random() < _PICTURES, draw.randrange(1 << 30))


def make_image() -> bytes:
    """Make a small photograph-like JPEG.

    Returns:
        The encoded image, 64 x 48 pixels.
    """
    grid = np.random.default_rng(7).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grid).resize((64, 48), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()
