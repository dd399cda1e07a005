"""Makes images in odd formats, and decodes them with a decoder that the worker does not use."""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Pixels = npt.NDArray[np.uint8]


def noise(width: int, height: int, seed: int = 0) -> Pixels:
    """`[height, width, 3] uint8` RGB: smooth enough for JPEG, different everywhere."""
    shape = (height // 8 + 2, width // 8 + 2, 3)
    small = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def encode(image: Image.Image | Pixels, kind: str, **options: object) -> bytes:
    """`image` (RGB) as Pillow writes it."""
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def encode_cv2(bgr: npt.NDArray[Any], suffix: str, *options: int) -> bytes:
    """`bgr` as OpenCV writes it: 16 bits, unusual JPEG samplings, restart markers."""
    written, data = cv2.imencode(suffix, bgr, options)
    assert written
    return data.tobytes()


def oriented(image: Image.Image | Pixels, kind: str, orientation: int, **options: object) -> bytes:
    """`image` with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, kind, exif=exif, **options)


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and has no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + b"\0\0\0\0\0\0\0\0IEND\xae\x42\x60\x82"


def pillow_bgr(data: bytes) -> Pixels:
    """What Pillow makes of `data`, upright."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        if image.mode.startswith("I;16"):
            grey = (np.asarray(image) >> 8).astype(np.uint8)
            return np.dstack([grey, grey, grey])
        upright = ImageOps.exif_transpose(image).convert("RGB")
        return np.ascontiguousarray(np.asarray(upright)[:, :, ::-1])
