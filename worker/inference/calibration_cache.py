"""Calibrations, kept on disk so that only a model's first start on a machine measures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from worker.cache import write_whole
from worker.hpip import CONVERTER, package_version
from worker.inference.placement import Placement
from worker.inference.protocol import BackendName
from worker.inference.selection_cache import MEASUREMENTS, TOLERATED
from worker.kernels import PLAIN_KERNELS, Kernels
from worker.runtime.processor import processor
from worker.settings import BatchingSettings

__all__ = ["CalibrationCache", "CalibrationRecord"]

CALIBRATION_VERSION = 6
"""Raise it when calibration measures or chooses in another way: what was kept counts no more."""


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """What a calibration chose.

    Attributes:
        max_batch: images of the largest batch, at least 1.
        part: images of it that are computed at once, at least 1.
        solo: whether an image alone gets all cores; None where that is not asked.
        taken: share of the slots' cores that other programs had meanwhile, 0 to 1.
        measurements: made so far.
    """

    max_batch: int
    part: int
    solo: bool | None
    taken: float = 0.0
    measurements: int = 1

    @property
    def settled(self) -> bool:
        """Whether later starts take it as it is.

        That all cores do not pay takes several starts: there are seconds in which the cores of a
        virtual machine together do the work of one.
        """
        if self.measurements >= MEASUREMENTS:
            return True
        return self.taken <= TOLERATED and self.solo is not False

    def measured_again(self, other: CalibrationRecord) -> CalibrationRecord:
        """Add a measurement.

        Returns:
            A record of the one that was disturbed less, `other` or this one. An image alone gets
            all cores if either says so: much hides what that gains, and nothing feigns it.
        """
        kept = min(other, self, key=lambda record: record.taken)
        solo = self.solo or other.solo
        return replace(kept, solo=solo, measurements=self.measurements + 1)


class CalibrationCache:
    """The records of one model with one layout, on this kind of processor, by backend.

    A directory that cannot be read or written costs a calibration at each start, and nothing else.

    Args:
        directory: made if need be.
        digest: of the model.
        placements: threads of each slot, all on CPU.
        cores: that the slots share.
        batching: which batches may be chosen.
        lends_cores: whether an image alone may get all cores; where it may not, that was not
            measured.
        kernels: how the network is computed.
    """

    def __init__(
        self,
        directory: Path,
        digest: str,
        placements: Sequence[Placement],
        cores: int,
        batching: BatchingSettings,
        *,
        lends_cores: bool = True,
        kernels: Kernels = PLAIN_KERNELS,
    ) -> None:
        threads = [placement.threads for placement in placements]
        self._directory = directory
        self._limit = batching.max_batch or batching.calibration_limit
        self._facts = (
            str(CALIBRATION_VERSION),
            digest,
            processor(),
            f"{cores} cores, slots of {threads} threads",
            f"batches of {batching.max_batch}, up to {batching.calibration_limit}",
            f"an image alone on all cores: {lends_cores}",
            *kernels.facts,
        )

    def read(self, backend: BackendName) -> CalibrationRecord | None:
        """Read the record of a backend.

        Returns:
            The record; None when there is none that can be read.
        """
        try:
            kept = json.loads(self._path(backend).read_text("utf-8"))
            record = CalibrationRecord(
                max_batch=int(kept["max_batch"]),
                part=int(kept["part"]),
                solo=None if kept["solo"] is None else bool(kept["solo"]),
                taken=float(kept["taken"]),
                measurements=int(kept["measurements"]),
            )
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None
        return record if 1 <= record.part <= record.max_batch <= self._limit else None

    def write(self, backend: BackendName, record: CalibrationRecord) -> None:
        """Keep the record of a backend."""
        with suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            write_whole(self._path(backend), json.dumps(asdict(record)).encode())

    def _path(self, backend: BackendName) -> Path:
        packages = (backend,) if backend == "paddle" else (backend, CONVERTER)
        versions = [f"{name} {package_version(name)}" for name in packages]
        key = sha256("\n".join((*self._facts, *versions)).encode()).hexdigest()
        return self._directory / f"{key[:32]}.json"
