"""From an encoded image to pixels, or to an answer that says why not.

`docs/images.md` says what happens to each odd kind of file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.images.decode_errors import UnsupportedError, damaged, unsupported
from worker.images.decoders import DECODERS
from worker.images.limits import check_bytes, check_cost, check_size
from worker.images.memory import raising_memory_errors
from worker.images.sniffing import sniff

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from worker.images.announced_size import Header
    from worker.images.limits import Limits

__all__ = ["decode", "decode_pixels", "inspect", "read_header"]


def decode(data: bytes, limits: Limits) -> npt.NDArray[np.uint8]:
    """Decode an image.

    Grey is replicated, alpha dropped, 16 bits shifted right by 8, the EXIF orientation applied; of
    several frames or pages the first is taken.

    Returns:
        `[H, W, 3] uint8` BGR, upright.

    Raises:
        JobError: `TOO_LARGE` or `TOO_MANY_PIXELS` before a pixel is decoded, `NOT_AN_IMAGE` when
            the format is not known or the kind not decoded here, `CORRUPT_IMAGE` when the file is
            cut off or damaged.
        MemoryError: the process has no memory left for it; the image is not at fault.
    """
    return decode_pixels(data, inspect(data, limits))


def inspect(data: bytes, limits: Limits) -> Header:
    """Read what a file announces, and refuse what is too large; nothing is decoded.

    Returns:
        The header.

    Raises:
        JobError: `TOO_LARGE`, `TOO_MANY_PIXELS`, `NOT_AN_IMAGE` or `CORRUPT_IMAGE`.
    """
    check_bytes(data, limits)
    header = read_header(data)
    check_size("the image", header.width, header.height, limits)
    check_cost(header, limits)
    return header


def read_header(data: bytes) -> Header:
    """Read what a file announces, whatever its format.

    Returns:
        The header.

    Raises:
        JobError: `NOT_AN_IMAGE`, also for a kind of image that is not decoded here, or
            `CORRUPT_IMAGE` when the header is cut off or makes no sense.
    """
    found = sniff(data)
    try:
        header = DECODERS[found].read_header(data)
    except UnsupportedError as error:
        raise unsupported(found, str(error)) from error
    except ValueError as error:
        raise damaged(found, str(error)) from error
    if header.width < 1 or header.height < 1:
        raise damaged(found, f"its header says {header.width}x{header.height} pixels")
    return header


def decode_pixels(data: bytes, header: Header) -> npt.NDArray[np.uint8]:
    """Decode a file whose header was found acceptable.

    Returns:
        The pixels, as `decode` returns them.

    Raises:
        JobError: `CORRUPT_IMAGE`, or `NOT_AN_IMAGE` for a kind that only now shows.
        MemoryError: the process has no memory left for it.
    """
    try:
        with raising_memory_errors():
            return DECODERS[header.format].decode(data, header)
    except UnsupportedError as error:
        raise unsupported(header.format, str(error)) from error
    except (ValueError, RuntimeError) as error:
        raise damaged(header.format, str(error)) from error
