"""Compares the answers of the model that is in use with its baseline, for metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from worker.drift.baseline import Baseline, read_baseline
from worker.drift.window import DriftWindow
from worker.errors import SettingsError
from worker.logs import get_logger

if TYPE_CHECKING:
    from worker.metrics import Metrics
    from worker.metrics.answers import Observe
    from worker.metrics.scraped import Samples
    from worker.model import ModelSpec
    from worker.settings import DriftSettings

__all__ = ["LARGE_CHANCE", "DriftWatch"]

LARGE_CHANCE = 0.1
"""The index that chance alone may give: from there on, a baseline is too small to tell changes."""

log = get_logger(__name__)


class DriftWatch:
    """Watches one model after the other; for one event loop.

    Args:
        settings: with a baseline, or without: then nothing is watched.

    Raises:
        SettingsError: there is no such baseline, or it is damaged; reads the file, which blocks.
    """

    def __init__(self, settings: DriftSettings, metrics: Metrics) -> None:
        self._path = settings.baseline
        self._size = settings.window
        self._digest = ""
        self._window: DriftWindow | None = None
        self._baseline: Baseline | None = None
        if self._path is not None:
            self._baseline = read_baseline(self._path)
            metrics.drift_index.read = self._indices
            metrics.drift_window.read = self._images
            metrics.drift_baseline.read = self._fits

    def read_again(self) -> None:
        """Read the file again, before the model is changed: it may have been replaced too.

        Blocks. A file that is damaged by then changes nothing.
        """
        if self._path is None:
            return
        try:
            self._baseline = read_baseline(self._path)
        except SettingsError as error:
            log.warning("drift_baseline_unreadable", error=str(error))

    def watch(self, spec: ModelSpec) -> Observe | None:
        """Begin with a model, and forget the answers of the one before.

        A baseline of another model compares with nothing and is logged: a worker that is started
        again after its model has changed must not refuse to work because of it.

        Returns:
            What compares an answer with the baseline; None without a baseline of this model.
        """
        self._digest, self._window = spec.digest, None
        baseline = self._baseline
        if baseline is None:
            return None
        if baseline.digest != spec.digest:
            log.warning(
                "drift_baseline_of_another_model",
                baseline=str(self._path),
                baseline_model=baseline.model,
                baseline_digest=baseline.digest,
                model=spec.name,
                digest=spec.digest,
                remedy=f"classify-worker evaluate --model {spec.directory} --data DATA "
                f"--baseline {self._path}",
            )
            return None
        self._window = window = DriftWindow(baseline, self._size)
        for kind, index in window.chances().items():
            if index > LARGE_CHANCE:
                log.warning(
                    "drift_baseline_small",
                    baseline=str(self._path),
                    kind=kind,
                    images=baseline.images,
                    index_by_chance=round(index, 2),
                    remedy=window.remedy(kind, LARGE_CHANCE),
                )
        return partial(self._observe, spec.digest)

    def _observe(
        self, digest: str, best: str, score: float | None, entropy: float | None
    ) -> Callable[[], None]:
        return partial(self._count, digest, best, score, entropy)

    def _count(self, digest: str, best: str, score: float | None, entropy: float | None) -> None:
        # A result that is kept may be of an earlier model, or of this one before it was changed
        # to another and back, which is another window.
        if self._window is not None and digest == self._digest:
            self._window.add(best, score, entropy)

    def _indices(self) -> Samples:
        if self._window is not None:
            for kind, index in self._window.indices().items():
                yield (self._digest, kind), index

    def _images(self) -> Iterator[tuple[tuple[str], float]]:
        if self._window is not None:
            yield (self._digest,), float(self._window.images)

    def _fits(self) -> Iterator[tuple[tuple[str], float]]:
        if self._digest:
            yield (self._digest,), float(self._window is not None)
