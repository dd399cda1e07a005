"""The pages of TIFF files: in the reference, each is an image of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePath
from urllib.parse import urlsplit

from worker.errors import JobError
from worker.images.tiff import page_offsets, with_first_page
from worker.jobs import RawImage, UrlImage
from worker.local.inputs import Page, Source

__all__ = ["split_pages"]

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})


def split_pages(sources: Iterable[Source], load: Callable[[Source], bytes]) -> Iterator[Source]:
    """The sources with a source for each page in place of TIFF files, lazily.

    Files and URLs are taken for TIFF by their names, as in the reference, so that no others have to
    be read here; bytes are looked at.

    Args:
        load: brings a source's bytes, or raises JobError.
    """
    for source in sources:
        if _may_have_pages(source):
            yield from _pages(source, load)
        else:
            yield source


def _may_have_pages(source: Source) -> bool:
    match source.content:
        case Path() as path:
            name = path.name
        case UrlImage(url):
            try:
                name = urlsplit(url).path
            except ValueError:
                return False  # whoever fetches it says what is wrong
        case RawImage():
            return source.page is None
        case _:
            return False
    return PurePath(name).suffix.lower() in TIFF_SUFFIXES


def _pages(source: Source, load: Callable[[Source], bytes]) -> Iterator[Source]:
    try:
        data = load(source)
    except JobError as error:
        yield replace(source, content=error)
        return
    offsets = page_offsets(data)
    if not offsets:
        yield replace(source, content=RawImage(data))
    for index, offset in enumerate(offsets):
        content = RawImage(with_first_page(data, offset))
        yield replace(source, content=content, page=Page(index, len(offsets)))
