"""Measured backends, kept on disk so that only the first start of its kind measures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import get_args

from worker.cache import write_whole
from worker.hpip import CONVERTER, package_version
from worker.inference.placement import Placement
from worker.inference.protocol import BackendName
from worker.inference.selection import Trial
from worker.runtime.processor import processor

__all__ = ["SelectionCache"]

MEASURE_VERSION = 1
"""Raise it when backends are measured in another way: what was kept before then counts no more."""


class SelectionCache:
    """The trials of one model with one layout, on this kind of processor, with these libraries.

    A directory that cannot be read or written costs the trials at each start, and nothing else.

    Args:
        directory: made if need be.
        digest: of the model.
        placements: device and threads of each slot.
        cores: that the slots share.
        max_batch: images of a batch; 0 where that is not fixed.
        backends: that are installed.
    """

    def __init__(
        self,
        directory: Path,
        digest: str,
        placements: Sequence[Placement],
        cores: int,
        max_batch: int,
        backends: Sequence[BackendName],
    ) -> None:
        threads = [placement.threads for placement in placements]
        versions = [f"{name} {package_version(name)}" for name in (*backends, CONVERTER)]
        facts = (
            str(MEASURE_VERSION),
            digest,
            processor(),
            f"{cores} cores, slots of {threads} threads, batches of {max_batch}",
            *versions,
        )
        key = sha256("\n".join(facts).encode()).hexdigest()
        self._backends = backends
        self._path = directory / f"{key[:32]}.json"

    def read(self) -> list[Trial] | None:
        """Read the trials.

        Returns:
            One per backend, at least one of which can be used; or None when there are none that
            can be read.
        """
        try:
            rows = json.loads(self._path.read_text("utf-8"))
            trials = [
                Trial(_known(row["backend"]), float(row["images_per_second"]), str(row["problem"]))
                for row in rows
            ]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        names = {trial.backend for trial in trials}
        usable = any(trial.images_per_second > 0 for trial in trials)
        return trials if usable and names == set(self._backends) else None

    def write(self, trials: Sequence[Trial]) -> None:
        """Keep trials."""
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps([asdict(trial) for trial in trials]).encode())


def _known(name: str) -> BackendName:
    known: tuple[BackendName, ...] = get_args(BackendName)
    for backend in known:
        if backend == name:
            return backend
    raise ValueError(f"{name!r} is no backend")
