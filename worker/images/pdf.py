"""The pages of PDF files as pixels, rendered by PDFium in a process with limits for each file."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import threading
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from worker.errors import JobError, Reason
from worker.images.limits import check_size
from worker.images.sniffing import sniff
from worker.runtime.child_environment import child_environment
from worker.runtime.messages import BadMessageError, Channel, integer_in
from worker.runtime.processes import anonymous_file, end_process, start_module

if TYPE_CHECKING:
    import numpy.typing as npt

    from worker.settings import DecodeSettings

__all__ = ["HEAD", "PdfFile", "is_pdf"]

HEAD = 1024
"""Bytes within which a PDF has its mark: viewers accept others before it."""

MEMORY_BYTES = 2 * 1024**3
"""Address space of a rendering process. A page of 64 million pixels, with an image as large on it,
takes a quarter."""

PAGE_SECONDS = 30
"""Processor time for opening a file, and for each page."""

PATIENCE = 20 * PAGE_SECONDS
"""Seconds of the clock for the same: a process that sleeps uses no processor."""

MAX_DEATHS = 3
"""Processes that a file may cost; then its remaining pages are refused untried."""

_PAGE = "the page, at 144 pixels per inch,"
_LARGEST = 2**31
_PADDING = 64
"""Most bytes after the pixels of a row."""


def is_pdf(head: bytes) -> bool:
    """Look for a PDF's mark.

    An image that only mentions PDF, in its metadata, is none.

    Returns:
        Whether the file is a PDF whose first `HEAD` bytes, or all, are `head`.
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
        OSError: the system has no room for another process.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._turn = threading.Lock()
        self._file = file
        self._deaths = 0
        self._renderer: _Renderer | None = None
        self._pages = self._open().pages

    def __len__(self) -> int:
        return self._pages

    def render(self, index: int, limits: DecodeSettings) -> npt.NDArray[np.uint8]:
        """Render a page on white, turned as it asks, with two pixels per point.

        Args:
            index: from 0 up.
            limits: on the page and on each image in it; checked before either is decoded.

        Returns:
            `[H, W, 3] uint8` BGR.

        Raises:
            JobError: `TOO_MANY_PIXELS`, or `CORRUPT_IMAGE` when the page cannot be read, or costs
                more memory or time than a page may.
        """
        with self._turn:
            try:
                return self._open().render(index, limits)
            except EOFError as error:
                raise self._died() from error

    def close(self) -> None:
        """Release the file; closing again does nothing."""
        with self._turn:
            self._end()

    def _open(self) -> _Renderer:
        if self._renderer is None:
            if self._deaths == MAX_DEATHS:
                raise JobError(
                    Reason.CORRUPT_IMAGE,
                    f"{MAX_DEATHS} other pages of the PDF file could not be rendered: save it "
                    "again",
                )
            self._renderer = _Renderer(self._file)
            try:
                self._renderer.open()
            except EOFError as error:
                raise self._died() from error
            except BaseException:
                self._end()
                raise
        return self._renderer

    def _died(self) -> JobError:
        assert self._renderer is not None
        status = self._renderer.end()
        self._renderer = None
        self._deaths += 1
        if status == -signal.SIGXCPU:
            why = f"takes more than {PAGE_SECONDS} s of processor time"
        else:
            why = f"needs more than {MEMORY_BYTES >> 20} MiB of memory, or crashes the renderer"
        return JobError(Reason.CORRUPT_IMAGE, f"rendering it {why}: save a simpler PDF file")

    def _end(self) -> None:
        if self._renderer is not None:
            self._renderer.end()
        self._renderer = None


class _Renderer:
    """A process that has a PDF file open. Methods raise EOFError when it has died."""

    def __init__(self, file: BinaryIO) -> None:
        with ExitStack() as on_failure:
            ours, theirs = socket.socketpair()
            on_failure.callback(ours.close)
            with theirs:
                self._pixels = anonymous_file()
                on_failure.callback(os.close, self._pixels)
                self._process = self._start(theirs.fileno(), file)
            on_failure.pop_all()
        self._channel = Channel(ours.detach())
        # Reached at interpreter exit too, so that no way of ending leaves a process behind.
        self._finalizer = weakref.finalize(
            self, _release, self._process, self._channel, self._pixels
        )
        self.pages = 0

    def _start(self, theirs: int, file: BinaryIO) -> subprocess.Popen[bytes]:
        content = _descriptor(file)
        try:
            descriptors = (theirs, content, self._pixels)
            return start_module(
                "worker.images.pdf_process",
                (*descriptors, MEMORY_BYTES, PAGE_SECONDS),
                descriptors,
                output=(subprocess.DEVNULL, subprocess.DEVNULL),
                environ=child_environment(),
            )
        finally:
            os.close(content)

    def open(self) -> None:
        """Wait until the file is open.

        Raises:
            JobError: it cannot be opened.
        """
        answer = self._receive()
        if answer.get("refused") == "encrypted":
            raise JobError(
                Reason.NOT_AN_IMAGE,
                "the PDF file is encrypted: save a copy that needs no password",
            )
        if "refused" in answer:
            raise JobError(
                Reason.CORRUPT_IMAGE,
                "the PDF file is cut off or damaged, or it has no pages: send the whole file, "
                "or save it again",
            )
        try:
            self.pages = integer_in(answer, "pages", 0, _LARGEST)
        except BadMessageError as error:
            raise EOFError from error

    def render(self, index: int, limits: DecodeSettings) -> npt.NDArray[np.uint8]:
        request = {"index": index, "max_side": limits.max_side, "max_pixels": limits.max_pixels}
        self._channel.send(request)
        match self._receive():
            case {"rendered": [int(width), int(height), int(row)]} if (
                min(width, height) > 0 and 3 * width <= row <= 3 * width + _PADDING
            ):
                # It may be taken over, so what it says is checked here too.
                check_size(_PAGE, width, height, limits)
                return self._read(width, height, row)
            case {"page": [int(width), int(height)]}:
                check_size(_PAGE, width, height, limits)
            case {"image": [int(width), int(height)]}:
                check_size("an image on the page", width, height, limits)
            case {"damaged": str(why)}:
                raise JobError(
                    Reason.CORRUPT_IMAGE, f"it is damaged ({why}): save the PDF file again"
                )
        raise EOFError  # it says nothing that makes sense

    def end(self) -> int:
        """End the process.

        Returns:
            Its exit status.
        """
        self._finalizer()
        return self._process.returncode

    def _receive(self) -> dict[str, Any]:
        try:
            return self._channel.receive(PATIENCE)
        except (BadMessageError, TimeoutError) as error:
            raise EOFError from error

    def _read(self, width: int, height: int, row: int) -> npt.NDArray[np.uint8]:
        buffer = bytearray(height * row)
        with open(self._pixels, "rb", closefd=False) as file:
            file.seek(0)
            if file.readinto(buffer) != len(buffer):
                raise EOFError
        os.ftruncate(self._pixels, 0)  # which frees its memory
        return np.ndarray((height, width, 3), np.uint8, buffer, strides=(row, 3, 1))


def _descriptor(file: BinaryIO) -> int:
    """A descriptor of the file, or of a copy of what is in memory alone; the caller closes it."""
    try:
        return os.dup(file.fileno())
    except io.UnsupportedOperation:
        with ExitStack() as on_failure:
            copy = anonymous_file()
            on_failure.callback(os.close, copy)
            with open(copy, "wb", closefd=False) as target:
                file.seek(0)
                shutil.copyfileobj(file, target)
            on_failure.pop_all()
        return copy


def _release(process: subprocess.Popen[bytes], channel: Channel, pixels: int) -> None:
    end_process(process)
    channel.close()
    os.close(pixels)
