"""The process that renders one PDF file, started by `worker.images.pdf` with what `main` reads.

A PDF of two kilobytes can ask PDFium for any amount of memory and time, and hostile files have
crashed it. Here that ends one process and costs one page.

Whatever a file makes of PDFium, its owner reads numbers and texts, nothing else.
"""

from __future__ import annotations

import math
import os
import resource
import sys
from contextlib import closing, suppress
from typing import Any, BinaryIO

from worker.runtime.messages import Channel

__all__ = ["SCALE", "main"]

SCALE = 2
"""Pixels per point (1/72 inch), as in PaddleX."""

_LARGEST = 2**31
"""A number of pixels beyond any limit: a page may say that it is infinitely wide."""

_NESTED = 15
"""Forms within forms in which images are looked for, as deep as pypdfium2 goes by itself."""


def main() -> None:
    """Serve the owner until it closes the socket or dies.

    Arguments: the inherited descriptors of a socket, of the PDF file and of a file for pixels; the
    most bytes of address space; the seconds of processor time for each page.
    """
    socket, file, pixels, memory, seconds = (int(argument) for argument in sys.argv[1:6])
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_CORE, 0)
    with Channel(socket) as channel, os.fdopen(file, "rb") as content, suppress(EOFError):
        # Its end is the owner's.
        _serve(channel, content, pixels, seconds)


def _serve(channel: Channel, content: BinaryIO, pixels: int, seconds: int) -> None:
    """Open the file and say `{"pages"}` or `{"refused"}`; then answer for each `{"index"}`."""
    import pypdfium2 as pdfium  # noqa: PLC0415 - within the limits on memory

    _allow(seconds)
    try:
        document = pdfium.PdfDocument(content)
    except pdfium.PdfiumError as error:
        encrypted = (pdfium.raw.FPDF_ERR_PASSWORD, pdfium.raw.FPDF_ERR_SECURITY)
        channel.send({"refused": "encrypted" if error.err_code in encrypted else "damaged"})
        return
    channel.send({"pages": len(document)})
    while True:
        request = channel.receive()
        _allow(seconds)
        try:
            with closing(document.get_page(request["index"])) as page:
                answer = _too_large(page, request) or _render(page, pixels)
        except pdfium.PdfiumError as error:
            answer = {"damaged": str(error)[:200]}
        channel.send(answer)


def _too_large(page: Any, request: dict[str, int]) -> dict[str, Any] | None:  # noqa: ANN401 - pypdfium2 has no types
    """What is beyond the limits, with its width and height: the page, or an image on it."""
    import pypdfium2 as pdfium  # noqa: PLC0415

    def beyond(width: int, height: int) -> bool:
        return max(width, height) > request["max_side"] or width * height > request["max_pixels"]

    width, height = (math.ceil(min(side * SCALE, _LARGEST)) for side in page.get_size())
    if beyond(width, height):
        return {"page": [width, height]}
    for image in page.get_objects((pdfium.raw.FPDF_PAGEOBJ_IMAGE,), max_depth=_NESTED):
        width, height = image.get_px_size()
        if beyond(width, height):
            return {"image": [width, height]}
    return None


def _render(page: Any, pixels: int) -> dict[str, Any]:  # noqa: ANN401
    """Write the page as rows of BGR; the width and height in pixels and the bytes of a row."""
    with closing(page.render(scale=SCALE)) as bitmap:
        os.ftruncate(pixels, 0)
        with open(pixels, "wb", buffering=0, closefd=False) as file:
            file.seek(0)
            remaining = memoryview(bitmap.buffer).cast("B")
            while remaining:
                remaining = remaining[file.write(remaining) :]
        return {"rendered": [bitmap.width, bitmap.height, bitmap.stride]}


def _allow(seconds: int) -> None:
    """Allow so much processor time from now on; beyond it the kernel ends this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime) + seconds)


def _limit(what: int, value: int) -> None:
    """Set the soft limit; never above the hard one, which the process was given."""
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
