"""From the sources that a user names to single items, lazily: nothing is read here but lines."""

from __future__ import annotations

import asyncio
import enum
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from worker.errors import JobError, Reason
from worker.jobs import UrlImage
from worker.local.inputs import Source, find_sources, short_name
from worker.submit.lines import read_lines

__all__ = ["STANDARD_INPUT", "Item", "Way", "find_items"]

STANDARD_INPUT = "-"


class Way(enum.StrEnum):
    """How an image travels in its job."""

    BASE64 = "base64"
    RAW = "raw"
    URL = "url"
    JSON = "json"
    """A job that the user wrote."""


@dataclass(frozen=True, slots=True)
class Item:
    """One job to be.

    Attributes:
        name: what tables and messages call it.
        content: a file, a URL, a job's JSON object, or why it cannot be submitted.
        way: how it is sent. A URL is sent as it is; a file of the way `URL` is served from here.
    """

    name: str
    content: Path | UrlImage | Mapping[str, Any] | JobError
    way: Way


async def find_items(sources: Iterable[str], way: Way) -> AsyncIterator[Item]:
    """The items that `sources` name: paths, URLs, directories, patterns, `-` for standard input.

    Args:
        way: how files are sent.

    Raises:
        WorkerError: standard input has an endless line.
        OSError: standard input cannot be read.
    """
    for source in sources:
        if source != STANDARD_INPUT:
            async for item in _find(source, way):
                yield item
            continue
        number = 0
        async for line in read_lines(0):
            number += 1
            if line.startswith(b"{"):
                yield _job(line, number)
            elif line:
                async for item in _find(os.fsdecode(line), way):
                    yield item


async def _find(text: str, way: Way) -> AsyncIterator[Item]:
    found = find_sources(text)
    # A walk through a large or remote directory takes its time; results are read meanwhile.
    while (source := await asyncio.to_thread(next, found, None)) is not None:
        yield _item(source, way)


def _item(source: Source, way: Way) -> Item:
    name = source.input_path or "''"
    match source.content:
        case UrlImage() as image:
            # What follows may be a signature; the name goes into logs and results.
            return Item(short_name(name.partition("?")[0]), image, Way.URL)
        case Path() | JobError() as content:
            return Item(name, content, way)
        case other:
            raise TypeError(f"{type(other).__name__} is no source of a submitted image")


def _job(line: bytes, number: int) -> Item:
    name = f"line {number}"
    try:
        job = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        wrong = JobError(Reason.NOT_JSON, f"the line is not JSON: {error}")
        return Item(name, wrong, Way.JSON)
    named = job.get("jobId")
    return Item(named if isinstance(named, str) and named else name, job, Way.JSON)
