"""Reads all images once, and has their features computed: batch by batch, so that it can go on."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from worker.cache import write_whole
from worker.training.checkpoint import load_array
from worker.training.child import TrainingProcess
from worker.training.crop_file import CropFile
from worker.training.crops import CropReader
from worker.training.names import PROBE, READ
from worker.training.plan import Plan, Skipped
from worker.training.reporting import Reporter

__all__ = ["BATCH", "ImageReading", "Read"]

BATCH = 8
"""Images whose features are computed together. Batches begin at its multiples, however often a
training is resumed, so that all of them come out the same."""

PROBES = 16
"""Images whose scores are compared once the model is written."""

SAVE_EVERY = 5.0
"""Seconds of work that a crash costs at most; a signal costs none."""


@dataclass(slots=True)
class Read:
    """How far the reading is.

    Attributes:
        done: rows that have been read; a multiple of `BATCH`, or all.
        skipped: those that cannot be used.
        probe: rows whose crops are kept.
    """

    done: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    probe: list[int] = field(default_factory=list)

    def save(self, directory: Path) -> None:
        """Write it to the checkpoint."""
        write_whole(directory / READ, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, directory: Path) -> Read:
        """Read it, or begin."""
        try:
            found: dict[str, Any] = json.loads((directory / READ).read_text("utf-8"))
        except FileNotFoundError:
            return cls()
        skipped = [Skipped(**each) for each in found["skipped"]]
        return cls(found["done"], skipped, found["probe"])


class ImageReading:
    """Reads a batch while the trainer computes the features of the one before.

    Args:
        directory: the checkpoint.
        crops: with room for two batches at least.
    """

    def __init__(
        self,
        plan: Plan,
        directory: Path,
        reader: CropReader,
        crops: CropFile,
        trainer: TrainingProcess,
        reporter: Reporter,
    ) -> None:
        self._plan = plan
        self._directory = directory
        self._reader = reader
        self._crops = crops
        self._trainer = trainer
        self._reporter = reporter
        self._saved = time.monotonic()

    def run(self, stopping: Callable[[], bool]) -> Read:
        """Read what has not been read yet.

        Returns:
            What has been read; not all of it if `stopping` said so.

        Raises:
            ModelError: the network cannot compute features.
            TrainingError: the trainer has ended.
            OSError: the disk is full.
        """
        read, total = Read.load(self._directory), len(self._plan.items)
        self._reporter.reading(read.done, total, len(read.skipped))
        computing: tuple[int, list[Skipped]] | None = None
        start = read.done
        while start < total and not stopping():
            stop = min(start + BATCH, total)
            skipped = self._read(start, stop)
            if computing is not None:
                self._finish(read, *computing)
            self._trainer.ask(do="features", start=start, stop=stop)
            computing, start = (stop, skipped), stop
        if computing is not None:
            self._finish(read, *computing)
        self._save(read)
        return read

    def _read(self, start: int, stop: int) -> list[Skipped]:
        items, cells = self._plan.items[start:stop], self._crops.crops
        targets = [cells[row % len(cells)] for row in range(start, stop)]
        failures = self._reader.read([item.path for item in items], targets)
        return [
            Skipped(row, item.name, failure.reason.label, failure.message)
            for row, (item, failure) in enumerate(zip(items, failures, strict=True), start)
            if failure is not None
        ]

    def _finish(self, read: Read, stop: int, skipped: list[Skipped]) -> None:
        self._trainer.answer()
        unusable = {each.row for each in skipped}
        usable = [row for row in range(read.done, stop) if row not in unusable]
        self._keep_probes(read, usable)
        read.done = stop
        read.skipped += skipped
        self._reporter.reading(stop, len(self._plan.items), len(read.skipped))
        if time.monotonic() - self._saved > SAVE_EVERY:
            self._save(read)

    def _keep_probes(self, read: Read, usable: list[int]) -> None:
        """Keep some of the first images, the same ones however often this is resumed."""
        wanted = usable[: PROBES - len(read.probe)]
        if not wanted:
            return
        path, cells = self._directory / PROBE, self._crops.crops
        crops = cells[[row % len(cells) for row in wanted]]
        if read.probe:
            crops = np.concatenate([load_array(path)[: len(read.probe)], crops])
        content = io.BytesIO()
        np.save(content, crops)
        write_whole(path, content.getvalue())
        read.probe += wanted

    def _save(self, read: Read) -> None:
        os.fsync(self._crops.descriptor)
        read.save(self._directory)
        self._saved = time.monotonic()
