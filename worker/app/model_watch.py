"""Watches the directory of the configured model, and any link on the way to it (`model_watch`).

A directory that is being written to must not be loaded: a copy can be whole file by file while
network and weights are of different models. So it counts as new only when nothing in it has changed
from one look to the next.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from worker.app.model_loading import in_daemon_thread
from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import ModelError
from worker.logs import get_logger
from worker.model import load_model_spec
from worker.model.locate import inference_directory

__all__ = ["ModelWatch", "look"]

INTERVAL = 2.0
"""Seconds between two looks."""

PATIENCE = 15
"""Looks without any change after which what cannot be loaded is no copy that goes on."""

Seen: TypeAlias = tuple[str, tuple[tuple[str, int, int, int], ...]]
"""The real path of a directory; and of each file name, inode, size and time of the last change."""

log = get_logger(__name__)


def look(directory: Path) -> Seen | None:
    """Look at a model's directory. Blocks, on a remote disk for long.

    Returns:
        What changes when anything there does; None if there is no directory, or none that can be
        read.
    """
    real = Path(os.path.realpath(directory))
    try:
        found = []
        inference = inference_directory(real)
        for path in sorted(inference.iterdir()):
            state = path.stat()
            found.append((path.name, state.st_ino, state.st_size, state.st_mtime_ns))
    except OSError:
        # Half of it is gone just now, or not there yet.
        return None
    return str(inference), tuple(found)


class ModelWatch:
    """Tells when there is another model; for one event loop.

    Args:
        directory: finds the model's directory by the settings, links not followed; None if there is
            none just now. Blocks; called in a thread.
        on_change: called when another model is there, whole as far as one can see. While it has not
            returned, nobody looks.
    """

    def __init__(
        self,
        directory: Callable[[], Path | None],
        on_change: Callable[[], Awaitable[object]],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._directory = directory
        self._on_change = on_change
        self._clock = clock
        self._known: Seen | None = None

    async def begin(self) -> None:
        """Look for the first time, before the model that serves is read: later ones are new."""
        self._known = await in_daemon_thread(self._look)

    async def run(self) -> None:
        """Watch until cancelled."""
        before, unchanged = self._known, 0
        while True:
            await self._clock.sleep(INTERVAL)
            seen = await in_daemon_thread(self._look)
            unchanged = unchanged + 1 if seen == before else 0
            before = seen
            if seen is None or seen == self._known or not unchanged:
                continue
            if unchanged < PATIENCE and not await in_daemon_thread(partial(_is_whole, seen)):
                continue
            # Not again if this fails: it is told once, until somebody writes there again.
            self._known = seen
            log.info("model_directory_changed", directory=seen[0])
            await self._on_change()

    def _look(self) -> Seen | None:
        directory = self._directory()
        return None if directory is None else look(directory)


def _is_whole(seen: Seen) -> bool:
    try:
        load_model_spec(Path(seen[0]))
    except ModelError:
        return False
    return True
