"""The pages of PDF files as pixels, rendered by PDFium: one page at a time, one call at a time."""

from __future__ import annotations

import atexit
import functools
import math
import threading
import weakref
from contextlib import closing
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from worker.errors import JobError, Reason
from worker.images.decode import check_size
from worker.images.formats import sniff

if TYPE_CHECKING:
    import numpy.typing as npt

    from worker.settings import DecodeSettings

__all__ = ["HEAD", "SCALE", "PdfFile", "is_pdf"]

SCALE = 2
"""Pixels per point (1/72 inch), as in the reference."""

HEAD = 1024
"""Bytes within which a PDF has its mark: viewers bear with others before it."""

_LARGEST = 2**31
"""Stands for pixels beyond any limit: a page may say that it is infinitely wide."""

_NESTED = 15
"""Forms within forms in which images are looked for, as deep as pypdfium2 goes by itself."""

# PDFium must not be called from two threads at the same time. Reentrant, because the garbage
# collector may close a file that was let go of while this very thread is calling.
_turn = threading.RLock()
_open: weakref.WeakSet[PdfFile] = weakref.WeakSet()


def is_pdf(head: bytes) -> bool:
    """Whether the file whose first `HEAD` bytes, or all, are `head` is a PDF.

    An image that only mentions PDF, in its metadata, is none.
    """
    if b"%PDF-" not in head[:HEAD]:
        return False
    try:
        sniff(head)
    except JobError:
        return True
    return False


class PdfFile:
    """An open PDF, read as its pages need it; safe to use from several threads.

    Args:
        file: seekable; it must stay open until this is closed.

    Raises:
        JobError: `NOT_AN_IMAGE` for a file that asks for a password, `CORRUPT_IMAGE` for one whose
            pages cannot be found.
    """

    def __init__(self, file: BinaryIO) -> None:
        with _turn:
            pdfium = _pdfium()
            # PDFium remembers the last error, and a file without pages opens without one: it would
            # be blamed for an earlier file's password, were this failure not in between.
            pdfium.raw.FPDF_LoadMemDocument64(b"", 0, None)
            try:
                self._document = pdfium.PdfDocument(file)
            except pdfium.PdfiumError as error:
                if error.err_code in (pdfium.raw.FPDF_ERR_PASSWORD, pdfium.raw.FPDF_ERR_SECURITY):
                    raise JobError(
                        Reason.NOT_AN_IMAGE,
                        "the PDF file is encrypted: save a copy that needs no password",
                    ) from error
                raise JobError(
                    Reason.CORRUPT_IMAGE,
                    "the PDF file is cut off or damaged, or it has no pages: send the whole file, "
                    "or save it anew",
                ) from error
            self._pages = len(self._document)
            _open.add(self)

    def __len__(self) -> int:
        return self._pages

    def render(self, index: int, limits: DecodeSettings) -> npt.NDArray[np.uint8]:
        """A page as `[H, W, 3] uint8` BGR on white, turned as it asks, `SCALE` pixels per point.

        Args:
            index: from 0 up.
            limits: on the page and on each image in it; checked before either is decoded.

        Raises:
            JobError: `TOO_MANY_PIXELS`, or `CORRUPT_IMAGE` when the page cannot be read.
        """
        with _turn:
            try:
                with closing(self._document.get_page(index)) as page:
                    _check(page, limits)
                    with closing(page.render(scale=SCALE)) as bitmap:
                        # Its memory is Python's: the array keeps it beyond the bitmap's closing.
                        return np.asarray(bitmap.to_numpy(), np.uint8)
            except _pdfium().PdfiumError as error:
                raise JobError(
                    Reason.CORRUPT_IMAGE, f"it is damaged ({error}): save the PDF file anew"
                ) from error

    def close(self) -> None:
        """Let go of the file; closing again does nothing."""
        with _turn:
            self._document.close()


def _check(page: Any, limits: DecodeSettings) -> None:  # noqa: ANN401 - pypdfium2 has no types
    width, height = (math.ceil(min(side * SCALE, _LARGEST)) for side in page.get_size())
    check_size("the page, at 144 pixels per inch,", width, height, limits)
    images = (_pdfium().raw.FPDF_PAGEOBJ_IMAGE,)
    for image in page.get_objects(images, max_depth=_NESTED):
        width, height = image.get_px_size()
        check_size("an image on the page", width, height, limits)


@functools.cache
def _pdfium() -> Any:  # noqa: ANN401 - pypdfium2 has no types
    # Here, so that who reads no PDF does not pay for it.
    import pypdfium2  # noqa: PLC0415

    # Registered after PDFium's own end, hence called before it, which would complain of open files.
    atexit.register(_close_all)
    return pypdfium2


def _close_all() -> None:
    for file in tuple(_open):
        file.close()
