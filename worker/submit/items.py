"""From the sources that a user names to single items, lazily. Of files only the names are read."""

from __future__ import annotations

import asyncio
import enum
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from worker.contract.jobs import UrlImage
from worker.errors import JobError, Reason
from worker.predict.inputs import Source, find_sources, short_name
from worker.submit.lines import read_lines

__all__ = ["STANDARD_INPUT", "Encoding", "Item", "find_items"]

STANDARD_INPUT = "-"


class Encoding(enum.StrEnum):
    """How an image travels in its job."""

    BASE64 = "base64"
    RAW = "raw"
    URL = "url"
    JSON = "json"
    """A job that the user wrote."""


@dataclass(frozen=True, slots=True)
class Item:
    """What becomes one job.

    Attributes:
        name: its name in tables and messages.
        content: a file, a URL, a job's JSON object, or why it cannot be submitted.
        encoding: how it is sent. A URL is sent as it is. A file sent as `URL` is served over HTTP
            by this process.
    """

    name: str
    content: Path | UrlImage | Mapping[str, Any] | JobError
    encoding: Encoding


async def find_items(sources: Iterable[str], encoding: Encoding) -> AsyncIterator[Item]:
    """Find the items that `sources` name.

    Args:
        sources: paths, URLs, directories, patterns, or `-` for standard input.
        encoding: how files are sent.

    Yields:
        The items, as they are found.

    Raises:
        WorkerError: standard input has an endless line.
        OSError: standard input cannot be read.
    """
    for source in sources:
        if source != STANDARD_INPUT:
            async for item in _find(source, encoding):
                yield item
            continue
        number = 0
        async for line in read_lines(0):
            number += 1
            if line.startswith(b"{"):
                yield _job(line, number)
            elif line:
                async for item in _find(os.fsdecode(line), encoding):
                    yield item


async def _find(text: str, encoding: Encoding) -> AsyncIterator[Item]:
    found = find_sources(text)
    # In a thread, since walking a large or remote directory takes long: results are read meanwhile.
    while (source := await asyncio.to_thread(next, found, None)) is not None:
        yield _item(source, encoding)


def _item(source: Source, encoding: Encoding) -> Item:
    name = source.input_path or "''"
    match source.content:
        case UrlImage() as image:
            # Without the query, which may contain a signature: names are in logs and results.
            return Item(short_name(name.partition("?")[0]), image, Encoding.URL)
        case Path() | JobError() as content:
            return Item(name, content, encoding)
        case other:
            raise TypeError(f"{type(other).__name__} is no source of a submitted image")


def _job(line: bytes, number: int) -> Item:
    name = f"line {number}"
    try:
        job = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        wrong = JobError(Reason.NOT_JSON, f"the line is not JSON: {error}")
        return Item(name, wrong, Encoding.JSON)
    named = job.get("jobId")
    return Item(named if isinstance(named, str) and named else name, job, Encoding.JSON)
