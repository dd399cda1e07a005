"""The pages of TIFF and PDF files: as in PaddleX, each is an image of its own."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path, PurePath
from typing import BinaryIO
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from worker.contract.jobs import RawImage, UrlImage
from worker.errors import JobError
from worker.image_formats import ImageFormat
from worker.images.limits import check_bytes
from worker.images.local_files import file_errors, read_file
from worker.images.pdf import HEAD, PdfFile, is_pdf
from worker.images.sniffing import refuse_unknown
from worker.images.tiff import page_offsets, with_first_page
from worker.predict.inputs import Page, Source
from worker.settings import DecodeSettings

__all__ = ["split_pages"]

PDF_SUFFIX = ".pdf"

Fetch = Callable[[str], bytes]


def split_pages(
    sources: Iterable[Source], fetch: Fetch, limits: DecodeSettings
) -> Iterator[Source]:
    """Replace each TIFF and PDF file by its pages, lazily.

    Files and URLs are recognised by their names, as in PaddleX, so that no others have to be read
    here; encoded bytes are recognised by their content. A page of a PDF is rendered when its turn
    comes; the file is open until its last page has been taken.

    Args:
        fetch: downloads a URL, or raises JobError.
        limits: on the files, and on each page of a PDF. The decoder of a TIFF's page applies them
            itself.

    Yields:
        All other sources as they are, and a source for each page.
    """
    for source in sources:
        suffix = _suffix(source)
        if suffix in ImageFormat.TIFF.suffixes:
            yield from _tiff_pages(source, fetch, limits)
        elif suffix == PDF_SUFFIX:
            yield from _pdf_pages(source, fetch, limits)
        else:
            yield source


def _suffix(source: Source) -> str:
    match source.content:
        case Path() as path:
            name = path.name
        case UrlImage(url):
            try:
                name = urlsplit(url).path
            except ValueError:
                return ""  # fetching it reports what is wrong
        case RawImage(data) if source.page is None:
            return PDF_SUFFIX if is_pdf(data) else ImageFormat.TIFF.suffixes[0]
        case _:
            return ""
    return PurePath(name).suffix.lower()


def _tiff_pages(source: Source, fetch: Fetch, limits: DecodeSettings) -> Iterator[Source]:
    try:
        data = _load(source, fetch, limits)
    except JobError as error:
        yield replace(source, content=error)
        return
    offsets = page_offsets(data)
    if not offsets:
        yield replace(source, content=RawImage(data))
    for index, offset in enumerate(offsets):
        content = RawImage(with_first_page(data, offset))
        yield replace(source, content=content, page=Page(index, len(offsets)))


def _load(source: Source, fetch: Fetch, limits: DecodeSettings) -> bytes:
    match source.content:
        case Path() as path:
            data = read_file(path, limits.max_bytes)
        case UrlImage(url):
            data = fetch(url)
            refuse_unknown(data)
        case RawImage(data):
            pass
        case other:
            raise TypeError(f"{type(other).__name__} has no bytes")
    check_bytes(data, limits)
    return data


def _pdf_pages(source: Source, fetch: Fetch, limits: DecodeSettings) -> Iterator[Source]:
    with ExitStack() as held:
        try:
            if not isinstance(source.content, Path):
                source = replace(source, content=RawImage(_load(source, fetch, limits)))
            with file_errors():
                file = held.enter_context(_open(source))
                has_signature = is_pdf(file.read(HEAD))
                file.seek(0)
            pdf = held.enter_context(closing(PdfFile(file))) if has_signature else None
        except JobError as error:
            yield replace(source, content=error)
            return
        if pdf is None:
            yield source  # decoding it reports what it is
            return
        for index in range(len(pdf)):
            page = Page(index, len(pdf))
            yield replace(source, content=_render(pdf, index, limits), page=page)


def _open(source: Source) -> BinaryIO:
    match source.content:
        case Path() as path:
            return path.open("rb")  # not read as a whole: only a page at a time is needed
        case RawImage(data):
            return io.BytesIO(data)
        case other:
            raise TypeError(f"{type(other).__name__} has no bytes")


def _render(pdf: PdfFile, index: int, limits: DecodeSettings) -> npt.NDArray[np.uint8] | JobError:
    try:
        return pdf.render(index, limits)
    except JobError as error:
        return error
