"""Measured backends, kept on disk so that only the first start of its kind measures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import get_args

from worker.cache import exclusive, write_whole
from worker.hpip import CONVERTER, package_version
from worker.inference.placement import Placement
from worker.inference.protocol import BackendName
from worker.inference.trials import Trial, fastest
from worker.kernels import PLAIN_KERNELS, Kernels
from worker.runtime.processor import processor

__all__ = ["MEASUREMENTS", "SelectionCache", "SelectionRecord"]

MEASURE_VERSION = 5
"""Raise it when backends are measured in another way: what was kept before then counts no more."""

MEASUREMENTS = 3
"""Starts that measure where cores are never free; what the least disturbed one found is kept."""

TOLERATED = 0.1
"""Share of the slots' cores that other programs may have without disturbing a measurement."""


@dataclass(frozen=True, slots=True)
class SelectionRecord:
    """The trials that count, and how often backends were measured for them.

    Attributes:
        trials: one per backend, of one measurement.
        measurements: made so far.
    """

    trials: tuple[Trial, ...]
    measurements: int = 1

    @property
    def doubt(self) -> str:
        """Why the trials may come out otherwise next time, in words; empty if nothing says so."""
        taken = max((trial.taken for trial in self.trials), default=0.0)
        if taken > TOLERATED:
            return f"other programs had {taken:.0%} of the cores"
        failed = [trial.backend for trial in self.trials if trial.passing]
        return f"{failed[0]} failed for a reason that may pass" if failed else ""

    @property
    def settled(self) -> bool:
        """Whether later starts take it as it is."""
        return not self.doubt or self.measurements >= MEASUREMENTS

    def measured_again(self, trials: Sequence[Trial]) -> SelectionRecord:
        """Add a measurement.

        Returns:
            A record with the trials that were disturbed less, these or the ones before; never one
            that chooses a backend which has just failed.
        """
        kept = min(tuple(trials), self.trials, key=_disturbance)
        if fastest(kept) in {trial.backend for trial in trials if trial.problem}:
            kept = tuple(trials)
        return SelectionRecord(kept, self.measurements + 1)


def _disturbance(trials: Sequence[Trial]) -> tuple[int, float]:
    failed = sum(trial.passing for trial in trials)
    return failed, max(trial.taken for trial in trials)


class SelectionCache:
    """The record of one model with one layout, on this kind of processor, with these libraries.

    A directory that cannot be read or written costs the trials at each start, and nothing else.

    Args:
        directory: made if need be.
        digest: of the model.
        placements: device and threads of each slot.
        cores: that the slots share.
        max_batch: images of a batch; 0 where that is not fixed.
        backends: that are installed.
        kernels: how the network is computed.
        gpus: their names, in words; empty on CPU.
    """

    def __init__(
        self,
        directory: Path,
        digest: str,
        placements: Sequence[Placement],
        cores: int,
        max_batch: int,
        backends: Sequence[BackendName],
        kernels: Kernels = PLAIN_KERNELS,
        gpus: str = "",
    ) -> None:
        threads = [placement.threads for placement in placements]
        layout = f"{cores} cores, slots of {threads} threads"
        if gpus:
            # The processor's threads do not compute there.
            layout = f"slots on {[placement.device.index for placement in placements]} of {gpus}"
        versions = [f"{name} {package_version(name)}" for name in (*backends, CONVERTER)]
        facts = (
            str(MEASURE_VERSION),
            digest,
            processor(),
            f"{layout}, batches of {max_batch}",
            *versions,
            *kernels.facts,
        )
        key = sha256("\n".join(facts).encode()).hexdigest()
        self._backends = backends
        self._path = directory / f"{key[:32]}.json"

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let one worker at a time measure: two at once would measure each other.

        Raises:
            BlockingIOError: another one measures now.
            OSError: the directory cannot be written, or has no locks.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self._path.with_suffix(".lock"), wait=False):
            yield

    def read(self) -> SelectionRecord | None:
        """Read the record.

        Returns:
            It, with at least one backend that can be used; or None when there is none that can be
            read.
        """
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            record = SelectionRecord(tuple(map(_trial, kept["trials"])), int(kept["measurements"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        names = {trial.backend for trial in record.trials}
        usable = any(trial.images_per_second > 0 for trial in record.trials)
        return record if usable and names == set(self._backends) else None

    def write(self, record: SelectionRecord) -> None:
        """Keep a record."""
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(asdict(record)).encode())


def _trial(row: dict[str, object]) -> Trial:
    return Trial(
        backend=_known(row["backend"]),
        images_per_second=float(str(row["images_per_second"])),
        problem=str(row["problem"]),
        passing=bool(row["passing"]),
        taken=float(str(row["taken"])),
    )


def _known(name: object) -> BackendName:
    known: tuple[BackendName, ...] = get_args(BackendName)
    for backend in known:
        if backend == name:
            return backend
    raise ValueError(f"{name!r} is no backend")
