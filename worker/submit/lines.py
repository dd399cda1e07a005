"""Lines of a file descriptor, read as they arrive without blocking the event loop."""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import AsyncIterator

from worker.errors import WorkerError

__all__ = ["MAX_LINE", "read_lines"]

MAX_LINE = 64 * 1024 * 1024
"""Longest line in bytes: more than any topic accepts as a job."""

_CHUNK = 256 * 1024


async def read_lines(descriptor: int) -> AsyncIterator[bytes]:
    """Read lines; the last one need not end with a newline.

    A byte-order mark at the beginning, which Windows programs write, is removed.

    No thread is used: a thread that waits for a terminal cannot be cancelled, so Ctrl-C would have
    no effect until Enter.

    Yields:
        Each line without the white space around it.

    Raises:
        WorkerError: a line is longer than `MAX_LINE`, or the text is UTF-16.
        OSError: the descriptor cannot be read.
    """
    parts: list[bytes] = []
    held = 0
    first = True
    while True:
        await _readable(descriptor)
        chunk = os.read(descriptor, _CHUNK)
        *ended, rest = chunk.split(b"\n")
        for line in ended:
            yield _without_mark(b"".join((*parts, line)), first=first)
            parts, held, first = [], 0, False
        parts.append(rest)
        held += len(rest)
        if held > MAX_LINE:
            raise WorkerError(f"a line of standard input is longer than {MAX_LINE} bytes")
        if not chunk:
            break
    if last := _without_mark(b"".join(parts), first=first):
        yield last


def _without_mark(line: bytes, *, first: bool) -> bytes:
    if first and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise WorkerError("standard input is UTF-16: write it as UTF-8")
    return (line.removeprefix(codecs.BOM_UTF8) if first else line).strip()


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        loop.add_reader(descriptor, _resolve, ready)
    except (OSError, NotImplementedError):
        return  # a regular file cannot be watched, and is always readable
    try:
        await ready
    finally:
        # Not watched any longer than this waits: unread data would call back over and over.
        loop.remove_reader(descriptor)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
