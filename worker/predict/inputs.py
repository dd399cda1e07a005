"""From what a caller passes to single images, lazily: no named file is opened here.

Open files and Pillow images are read here, each when its turn comes, and not by the threads that
read ahead: a caller may go on with them.
"""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.contract.jobs import RawImage, UrlImage
from worker.errors import JobError, Reason
from worker.image_formats import IMAGE_SUFFIXES
from worker.images.pillow import PillowImage, from_pillow, is_pillow_image
from worker.predict.patience import patiently
from worker.settings import DecodeSettings

__all__ = ["MISSING", "Page", "Source", "find_sources", "given_input", "short_name"]

MAX_MISSING = 255
"""Characters of a path that does not exist above which it is taken for something else."""

MISSING: object = object()
"""The default of an input: None is an input too, though an invalid one."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class Page:
    """Which page of a file an image is.

    Attributes:
        index: from 0 up.
        count: the file's pages.
    """

    index: int
    count: int


@dataclass(frozen=True, slots=True)
class Source:
    """One image that has not been read yet.

    Attributes:
        input_path: its path or URL as results name it; None where it has none.
        content: where to get it, the thing itself, or why it is known to be unusable.
        page: which page of a file with pages; None of any other.
    """

    input_path: str | None
    content: Path | UrlImage | RawImage | npt.NDArray[Any] | JobError
    page: Page | None = None


def given_input(given: object, x: object) -> object:
    """Choose between `input` and `x`, as PaddleX's documentation calls it in places.

    Returns:
        The one that was given.

    Raises:
        TypeError: neither was given, or both were.
    """
    if (given is MISSING) == (x is MISSING):
        what = "an input" if x is MISSING else "one input: `x` is another name for `input`"
        raise TypeError(f"predict() needs {what}")
    return x if given is MISSING else given


def find_sources(given: object) -> Iterator[Source]:
    """Find the images in `given`.

    Args:
        given: an array, a Pillow image, encoded bytes, an open file (read from its current
            position), a path, a URL, a glob pattern, a directory (its images, those of its
            subdirectories included, sorted by path; hidden ones are left out), `{"img": any of
            these}`, a source, or an iterable of these.

    Yields:
        A source for each image, in order; for a path without an image, one that says why.

    Raises:
        TypeError: `given`, or something in it, is none of these.
    """
    match given:
        case str() | os.PathLike():
            yield from _named(os.fsdecode(given))
        case Mapping():
            yield from find_sources(_member(given))
        case _ if (source := _single(given)) is not None:
            # Before iterables: an array is one of rows, a file one of lines.
            yield source
        case Iterable():
            for each in given:
                yield from find_sources(each)
        case _:
            raise TypeError(
                f"{type(given).__name__} is no image: pass a uint8 array, a Pillow image, a path, "
                "a URL, a directory, encoded bytes, a file opened with 'rb', {'img': one of "
                "these}, or a list of these"
            )


def _single(given: object) -> Source | None:
    """The source that an object is by itself."""
    match given:
        case Source():
            return given
        case np.ndarray():
            return Source(None, given)
        case bytes() | bytearray() | memoryview():
            return Source(None, RawImage(bytes(given)))
        case _ if is_pillow_image(given):
            return Source(_text(given, "filename"), _pixels(given))
        case _ if callable(read := getattr(given, "read", None)):
            return _read(given, read)
    return None


def _pixels(image: PillowImage) -> npt.NDArray[np.uint8] | JobError:
    """Taken now, not in a reader's thread.

    A Pillow image reads its file late, and no two threads may be in it. The caller may also go on
    to its next frame meanwhile, as `ImageSequence.Iterator` does.
    """
    try:
        return patiently(lambda: from_pillow(image))
    except JobError as error:
        return error


def _read(file: object, read: Callable[[int], object]) -> Source:
    """The rest of an open file; a pipe or a socket gives it piece by piece."""
    path = _text(file, "name")
    parts: list[bytes] = []
    # One byte more than is accepted, so that its size can be objected to.
    left = DecodeSettings().max_bytes + 1
    while left > 0:
        try:
            part = "" if isinstance(file, io.TextIOBase) else read(left)
        except TypeError:
            raise
        except Exception as error:  # noqa: BLE001 - archives and HTTP clients raise their own
            why = str(error) or type(error).__name__
            return Source(path, JobError(Reason.NOT_FOUND, f"the file cannot be read: {why}"))
        if not isinstance(part, bytes):
            raise TypeError(
                f"{type(file).__name__} gives {type(part).__name__} instead of bytes: open the "
                "file with open(path, 'rb')"
            )
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return Source(path, RawImage(b"".join(parts)))


def _text(thing: object, attribute: str) -> str | None:
    value = getattr(thing, attribute, None)
    return value if isinstance(value, str) and value else None


def _member(given: Mapping[Any, Any]) -> object:
    if given.keys() != {"img"}:
        raise TypeError(f"the dict has the keys {list(given)!r:.80}; pass {{'img': image}}")
    return given["img"]


def _named(text: str) -> Iterator[Source]:
    if _URL.match(text):
        yield Source(text, UrlImage(text))
    elif not text:
        # Usually a variable that was not set; as a path it would be the current directory.
        yield _unusable("", "the path is empty; name a file, a directory, a pattern or a URL")
    else:
        yield from _find_files(text)


def _find_files(text: str) -> Iterator[Source]:
    path = Path(text)
    try:
        is_directory, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError):
        # No name of a file at all: too long, or with a null character. Reading it says so.
        is_directory, is_there = False, False
    if is_directory:
        yield from _list_directory(path)
    elif not is_there and glob.has_magic(text):
        matches = sorted(glob.iglob(text, recursive=True))  # noqa: PTH207 - takes any pattern
        if not matches:
            yield _unusable(text, "no file matches the pattern")
        for match in matches:
            yield from _find_files(match)
    elif not is_there and len(text) > MAX_MISSING:
        yield _unusable(
            text,
            f"there is no file with this name of {len(text)} characters; Base64 has to be decoded "
            'first, or submitted as a line {"image": "..."}',
        )
    else:
        yield Source(text, path)


def _list_directory(directory: Path) -> Iterator[Source]:
    found: list[str] = []
    for parent, subdirectories, names in os.walk(directory):
        # In place, which keeps the walk out of them.
        subdirectories[:] = (name for name in subdirectories if not name.startswith("."))
        paths = (Path(parent, name) for name in names if _is_listed(name))
        # Reading a pipe could block forever. A broken link is kept, and reported as an error.
        found += (str(path) for path in paths if path.is_file() or not path.exists())
    if not found:
        suffixes = " ".join(sorted(IMAGE_SUFFIXES))
        yield _unusable(str(directory), f"the directory holds no images ({suffixes})")
    for name in sorted(found):
        yield Source(name, Path(name))


def _is_listed(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _unusable(text: str, why: str) -> Source:
    return Source(short_name(text), JobError(Reason.NOT_FOUND, why))


def short_name(text: str) -> str:
    """Shorten a text that is too long for a name: usually it is an encoded image.

    Returns:
        The text, or its beginning.
    """
    return text if len(text) <= MAX_MISSING else f"{text[:40]}…"
