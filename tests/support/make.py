"""Makes images in odd formats, and decodes them with a decoder that the worker does not use."""

from __future__ import annotations

import io
import struct
import zlib
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


def png_interlaced(rgb: Pixels) -> bytes:
    """`rgb` as an Adam7 PNG, which neither Pillow nor OpenCV writes."""
    passes = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    rows = b"".join(
        b"\0" + row.tobytes()
        for left, top, across, down in passes
        for row in rgb[top::down, left::across]
    )
    height, width = rgb.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk with its length and checksum."""
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def bmp_run_length(grey: Pixels) -> bytes:
    """`[H, W] uint8` as a run-length encoded BMP, a run for each pixel."""
    height, width = grey.shape
    palette = b"".join(bytes((level, level, level, 0)) for level in range(256))
    rows = b"".join(b"".join(bytes((1, level)) for level in row) + b"\0\0" for row in grey[::-1])
    pixels = rows + b"\0\1"
    sizes = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    start = 14 + len(sizes) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + sizes + palette + pixels
