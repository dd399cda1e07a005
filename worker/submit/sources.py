"""From what a user names (files, folders, patterns, URLs, standard input) to jobs."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import orjson
import pybase64

__all__ = ["IMAGE_SUFFIXES", "Options", "Submission", "Unreadable", "expand"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
"""What is taken from a folder; a file that is named itself is sent whatever its name."""

Way = Literal["base64", "raw", "url", "job"]


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for of every job.

    Attributes:
        way: how files are sent, as Base64 in JSON or as they are.
        top_k: categories per result; None leaves it to the worker.
        visualize: whether results carry a picture; None leaves it to the worker.
    """

    way: Literal["base64", "raw"] = "base64"
    top_k: int | None = None
    visualize: bool | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that is ready to be published.

    Attributes:
        name: what the user called it: a path, a URL, or the job's own id.
        way: how the image travels.
    """

    name: str
    way: Way
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A source that leads to no job, and why."""

    name: str
    why: str


def expand(
    sources: Iterable[str], options: Options, stdin: Iterable[str]
) -> Iterator[Submission | Unreadable]:
    """The jobs that `sources` name, read lazily: a folder may hold more than memory does.

    `-` stands for the lines of `stdin`: paths, URLs, or whole jobs as JSON objects.
    """
    for source in sources:
        if source == "-":
            lines = (line.strip() for line in stdin)
            yield from itertools.chain.from_iterable(
                _expand_one(line, options) for line in lines if line
            )
        else:
            yield from _expand_one(source, options)


def _expand_one(source: str, options: Options) -> Iterator[Submission | Unreadable]:
    if source.startswith("{"):
        yield Submission(_shortened(source), "job", source.encode())
        return
    if urlsplit(source).scheme in ("http", "https"):
        yield Submission(source, "url", _job(source, options))
        return
    path = Path(source).expanduser()
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            yield Unreadable(source, "the folder holds no image")
    elif path.exists() or not glob.has_magic(source):
        found = [path]
    else:
        found = sorted(Path(name) for name in glob.iglob(str(path), recursive=True))  # noqa: PTH207 - any pattern, absolute ones too
        if not found:
            yield Unreadable(source, "the pattern matches no file")
    for file in found:
        if not file.is_dir():
            yield _read(file, options)


def _read(path: Path, options: Options) -> Submission | Unreadable:
    try:
        data = path.read_bytes()
    except OSError as error:
        return Unreadable(str(path), error.strerror or str(error))
    if options.way == "base64":
        text = pybase64.b64encode_as_string(data)
        return Submission(str(path), "base64", _job(text, options))
    headers = [("content-type", b"image/*")]
    if options.top_k is not None:
        headers.append(("top-k", str(options.top_k).encode()))
    if options.visualize is not None:
        headers.append(("visualize", str(options.visualize).lower().encode()))
    return Submission(str(path), "raw", data, tuple(headers))


def _job(image: str, options: Options) -> bytes:
    job: dict[str, object] = {"image": image}
    if options.top_k is not None:
        job["inferenceParams"] = {"topK": options.top_k}
    if options.visualize is not None:
        job["visualize"] = options.visualize
    return orjson.dumps(job)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
