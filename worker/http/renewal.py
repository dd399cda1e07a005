"""Reads files again when they change: secrets are rotated, and certificates renewed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import structlog

from worker.errors import SettingsError

__all__ = ["Renewal"]

INTERVAL = 1.0
"""Seconds between two looks at the files."""

log = structlog.get_logger(__name__)

Look = tuple[tuple[int, int, int] | None, ...]


class Renewal:
    """Files, and what reads them.

    Kubernetes changes a mounted secret by a symbolic link to another directory, and other programs
    write the file itself: a look sees both.

    Args:
        name: of what is in them, for the log.
        paths: the files.
        load: reads them; called in a thread. What it raises is logged, and it is called again at
            the next change: a certificate may be there before its key.
    """

    def __init__(self, name: str, paths: Iterable[Path | None], load: Callable[[], None]) -> None:
        self._name = name
        self._paths = [path for path in paths if path is not None]
        self._load = load
        # Invariant: taken before the files were read, so that no change between is missed.
        self._seen: Look = ()

    def first(self) -> None:
        """Read the files.

        Raises:
            SettingsError: they cannot be used.
        """
        self._seen = self._look()
        self._load()

    def again(self) -> None:
        """Read the files if they have changed; an error is logged."""
        look = self._look()
        if look == self._seen:
            return
        self._seen = look
        try:
            self._load()
        except SettingsError as error:
            log.warning("files_not_renewed", what=self._name, error=str(error))
        else:
            log.info("files_renewed", what=self._name)

    async def run(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Read the files whenever they change, until cancelled."""
        while True:
            await pause(INTERVAL)
            # A file system may make one wait.
            await asyncio.to_thread(self.again)

    def _look(self) -> Look:
        return tuple(map(_identity, self._paths))


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
