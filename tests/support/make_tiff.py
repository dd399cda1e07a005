"""Makes TIFF files of many kinds with writers that the worker does not use, and damages them."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from tests.support.make import encode, noise

WIDTH, HEIGHT = 72, 56
RGB = noise(WIDTH, HEIGHT)
PICTURE = Image.fromarray(RGB)
GREY = np.asarray(PICTURE.convert("L"))
BLACK = GREY > 128
RGB16 = RGB.astype(np.uint16) * 257
ALPHA = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
RGBA = np.dstack([RGB, ALPHA])

LOSSLESS = (None, "lzw", "zlib", "packbits", "zstd", "lzma")


def write(pixels: npt.NDArray[Any], **options: Any) -> bytes:
    """`pixels` as tifffile writes them."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


def planes(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def kinds() -> dict[str, bytes]:
    """Each compression with strips, tiles, planes, predictors, 8 and 16 bits, both byte orders."""
    files = {}
    rgb: dict[str, Any] = {"photometric": "rgb"}
    packed: dict[str, Any]
    for compression in LOSSLESS:
        name = compression or "plain"
        packed = {"compression": compression}
        files[f"{name} strips"] = write(RGB, rowsperstrip=9, **rgb, **packed)
        files[f"{name} grey tiles"] = write(GREY, tile=(16, 32), **packed)
        files[f"{name} 16 bit"] = write(RGB16, rowsperstrip=9, byteorder=">", **rgb, **packed)
        files[f"{name} planes"] = write(
            planes(RGB), rowsperstrip=20, planarconfig="separate", **rgb, **packed
        )
        files[f"{name} black"] = write(BLACK, photometric="minisblack", **packed)
    for compression in ("lzw", "zlib", "zstd", "lzma"):
        packed = {"compression": compression, "predictor": 2}
        files[f"{compression} predictor"] = write(RGB, rowsperstrip=9, **rgb, **packed)
        files[f"{compression} predictor 16 bit"] = write(RGB16, tile=(16, 16), **rgb, **packed)
    files["zlib big"] = write(RGB, bigtiff=True, compression="zlib", **rgb)
    files["jpeg tiles"] = write(
        RGB, photometric="ycbcr", compression="jpeg", tile=(16, 32), subsampling=(2, 2)
    )
    files["jpeg rgb"] = write(RGB, compression="jpeg", rowsperstrip=16, **rgb)
    files["jpeg grey"] = encode(PICTURE.convert("L"), "TIFF", compression="jpeg")
    files["jpeg pillow"] = encode(PICTURE, "TIFF", compression="jpeg")
    for compression in ("group3", "group4", "tiff_ccitt"):
        files[compression] = encode(Image.fromarray(BLACK), "TIFF", compression=compression)
    files["lzw pillow"] = encode(PICTURE, "TIFF", compression="tiff_lzw")
    files["packbits pillow"] = encode(PICTURE, "TIFF", compression="packbits")
    files["zlib pillow"] = encode(PICTURE, "TIFF", compression="tiff_adobe_deflate")
    files["lzw palette"] = encode(PICTURE.quantize(32), "TIFF", compression="tiff_lzw")
    files["lzw cmyk"] = encode(PICTURE.convert("CMYK"), "TIFF", compression="tiff_lzw")
    return files


def segments(data: bytes) -> list[tuple[int, int]]:
    """Start and end of each strip and tile of the first page."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        places = zip(page.dataoffsets, page.databytecounts, strict=True)
        return [(start, start + size) for start, size in places]


def damages(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Copies of `data` with damage inside a strip or tile, the same ones for the same seed.

    A bit flipped, bytes set to zero or overwritten, the rest of the strip or tile lost.
    """
    places, random = segments(data), np.random.default_rng(seed)
    for number in range(count):
        start, end = places[int(random.integers(len(places)))]
        at = int(random.integers(start, end))
        damaged = bytearray(data)
        size = min(16, end - at)
        match number % 4:
            case 0:
                damaged[at] ^= 1 << int(random.integers(8))
            case 1:
                damaged[at : at + size] = bytes(size)
            case 2:
                damaged[at : at + size] = random.bytes(size)
            case _:
                damaged[at:end] = bytes(end - at)
        yield bytes(damaged)


def with_tag(data: bytes, tag: int, value: int) -> bytes:
    """Little-endian `data` with another single number under `tag` in its first directory."""
    changed = bytearray(data)
    at = entry(data, tag)
    (kind,) = struct.unpack_from("<H", data, at + 2)
    struct.pack_into(
        "<I4s",
        changed,
        at + 4,
        1,
        struct.pack("<I" if kind == 4 else "<HH", *((value,) if kind == 4 else (value, 0))),
    )
    return bytes(changed)


def entry(data: bytes, tag: int) -> int:
    """Where the entry of `tag` is in the first directory of little-endian `data`."""
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    for at in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, at)[0] == tag:
            return at
    raise KeyError(tag)


def simple(strip: bytes, width: int, height: int, *more: tuple[int, int]) -> bytes:
    """A grey little-endian TIFF of 8 bits around one strip, or one tile when `more` says so.

    Args:
        more: further tags with a number each; they take the place of those with the same tag.
    """
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 277: 1, 278: height, **dict(more)}
    tiled = 322 in tags
    directory = 8 + len(strip) + len(strip) % 2
    tags |= {324 if tiled else 273: 8, 325 if tiled else 279: len(strip)}
    if tiled:
        del tags[278]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    head = b"II*\0" + struct.pack("<I", directory)
    padded = strip + bytes(len(strip) % 2)
    return head + padded + struct.pack("<H", len(tags)) + entries + bytes(4)
