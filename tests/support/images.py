"""Small images for jobs."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
from PIL import Image

__all__ = ["base64_of", "colour_png", "job", "noise_jpeg"]


def noise_jpeg(seed: int, width: int = 64, height: int = 48) -> bytes:
    """A JPEG of coarse noise, another one for each seed."""
    grid = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    image = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
    return _encoded(image, "JPEG")


def colour_png(colour: str) -> bytes:
    """A PNG of nothing but `colour` (`#rrggbb`): failpoints know images by that."""
    return _encoded(Image.new("RGB", (64, 64), colour), "PNG")


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def job(image: bytes | str, **fields: object) -> bytes:
    """A job's value: an encoded image, or the text of the field `image`."""
    text = image if isinstance(image, str) else base64_of(image)
    return json.dumps({"image": text, **fields}).encode()


def _encoded(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()
