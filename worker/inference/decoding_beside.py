"""Decoding beside predictors that are measured, as there is while the worker has much to do.

A network that has its cores to itself finds its weights in their caches, again and again. Beside
decoding it finds them used by others, and few images at a time then cost more than many.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager

from worker.logs import get_logger
from worker.runtime.child_environment import child_environment
from worker.runtime.processes import end_process, start_module

__all__ = ["decoding_beside"]

MOST = 16
"""Processes: each loads the codecs, which takes about 95 MB while it lasts, half
of it shared."""

PATIENCE = 10.0
"""Seconds until they decode; more than a cold disk takes."""

log = get_logger(__name__)


@asynccontextmanager
async def decoding_beside(count: int) -> AsyncIterator[Sequence[int]]:
    """Have so many processes decode meanwhile, up to `MOST`.

    Where that cannot be had, the log says so, and nothing is decoded.

    Yields:
        Their pids, once they have begun.
    """
    with ExitStack() as stack:
        processes: list[subprocess.Popen[bytes]] = []
        try:
            processes = await _begun(min(count, MOST), stack)
        except (OSError, EOFError, TimeoutError) as error:
            stack.close()
            log.warning("decoding_not_begun", error=str(error) or type(error).__name__)
        yield [process.pid for process in processes]


async def _begun(count: int, stack: ExitStack) -> list[subprocess.Popen[bytes]]:
    """Start the processes, which `stack` ends, and wait until all decode.

    Raises:
        OSError: the system has no room for them.
        EOFError: they have ended.
        TimeoutError: they take too long.
    """
    told, tell = os.pipe()
    reader = asyncio.StreamReader()
    processes = []
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(told, "rb", buffering=0)
        )
        stack.callback(transport.close)
        for _ in range(count):
            process = start_module(
                "worker.images.decoding_load",
                (os.getpid(),),
                (),
                output=(tell, subprocess.DEVNULL),
                environ=child_environment(OMP_NUM_THREADS="1"),
            )
            stack.callback(end_process, process)
            processes.append(process)
    finally:
        os.close(tell)
    async with asyncio.timeout(PATIENCE):
        await reader.readexactly(count)
    return processes
