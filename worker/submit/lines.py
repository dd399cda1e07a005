"""Lines of a file descriptor, read as they come without holding up the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from worker.errors import WorkerError

__all__ = ["MAX_LINE", "read_lines"]

MAX_LINE = 64 * 1024 * 1024
"""Longest line in bytes: more than any topic takes as a job."""

_CHUNK = 256 * 1024


async def read_lines(descriptor: int) -> AsyncIterator[bytes]:
    """The lines, without the white space around them; the last one may lack its end.

    No thread is used: one that waits at a terminal could not be called off, and Ctrl-C would have
    to wait for Enter.

    Raises:
        WorkerError: a line is longer than `MAX_LINE`.
        OSError: the descriptor cannot be read.
    """
    parts: list[bytes] = []
    held = 0
    while True:
        await _readable(descriptor)
        chunk = os.read(descriptor, _CHUNK)
        *ended, rest = chunk.split(b"\n")
        for line in ended:
            yield b"".join((*parts, line)).strip()
            parts, held = [], 0
        parts.append(rest)
        held += len(rest)
        if held > MAX_LINE:
            raise WorkerError(f"a line of standard input is longer than {MAX_LINE} bytes")
        if not chunk:
            break
    if last := b"".join(parts).strip():
        yield last


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        loop.add_reader(descriptor, _resolve, ready)
    except (OSError, NotImplementedError):
        return  # a regular file is always readable, and cannot be watched
    try:
        await ready
    finally:
        # Watched only while waited for: a watcher of unread data would fire without end.
        loop.remove_reader(descriptor)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
