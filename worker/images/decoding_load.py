"""A process that decodes and encodes until it is ended; its argument is OWNER.

It takes processor time and caches from others as image processes do that always have work. The
worker measures its predictors beside it (`worker.inference.decoding_beside`).
"""

from __future__ import annotations

import os
import sys

import numpy as np

from worker.images.codecs import cv2
from worker.images.decode import decode
from worker.images.draw import shrink
from worker.images.jpeg_encode import encode_jpeg
from worker.images.limits import Limits
from worker.runtime.children import die_with
from worker.runtime.priority import be_first_to_go, come_second
from worker.settings import DecodeSettings

__all__ = ["main"]

HEIGHT, WIDTH = 480, 640
"""Of the image, in pixels."""

SHARPNESS = 16
"""Pixels of its width that have a colour of their own; what is finer is noise."""

NOISE = 12
"""Largest difference that noise makes, of 255: with it a file has about 80 KB, as photographs."""

QUALITY, SIDE = 85, 341
"""Of the JPEG that is made, and the pixels of the longest side that an image is scaled to."""


def main() -> None:
    """Decode, scale and encode one image after another; a byte says that this has begun."""
    owner = int(sys.argv[1])
    die_with(owner)
    come_second()
    be_first_to_go()
    limits, jpeg = DecodeSettings(), _photograph()
    _work(jpeg, limits)
    os.write(sys.stdout.fileno(), b"\0")
    # On Linux alone it ends with its owner by itself.
    while os.getppid() == owner:
        _work(jpeg, limits)


def _work(jpeg: bytes, limits: Limits) -> None:
    bgr = decode(jpeg, limits)
    shrink(bgr, SIDE)
    encode_jpeg(bgr, QUALITY)


def _photograph() -> bytes:
    """A JPEG that takes as long as a photograph."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (HEIGHT // SHARPNESS, WIDTH // SHARPNESS, 3), np.uint8)
    smooth = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(-NOISE, NOISE + 1, (HEIGHT, WIDTH, 3))
    return encode_jpeg(np.clip(smooth + noise, 0, 255).astype(np.uint8), QUALITY)
