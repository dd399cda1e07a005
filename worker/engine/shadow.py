"""A second model that computes some of the images too, for comparison.

Nobody waits for it: what it is offered is copied or dropped at once, and it computes one image at a
time for each of its slots, while the model that serves leaves cores idle. Its processes take only
the time of cores that nobody else wants (`worker.runtime.priority`), so that a job that comes
meanwhile need not wait for the image that is under way either.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.jobs import Category
from worker.engine.categories import choose_categories
from worker.errors import JobError
from worker.imaging.protocol import LocalImage
from worker.logs import get_logger
from worker.metrics import Metrics
from worker.metrics.labels import AGREED, DIFFERED, DROPPED, FAILED, HIGHER, LOWER
from worker.model import ModelSpec
from worker.runtime.process_usage import ProcessUsage, process_usage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from worker.engine.model_slots import ModelSlots
    from worker.imaging.images import ImageProcesses
    from worker.metrics.scraped import Samples

    Pixels = npt.NDArray[np.uint8]
    Scores = npt.NDArray[np.float32]

__all__ = ["MOST_BYTES", "MOST_WAITING", "Shadow"]

MOST_WAITING = 16
"""Images that wait for it; a burst is compared after it is over, up to here."""

MOST_BYTES = 32 * 2**20
"""Bytes of them, beside the worker's own limits."""

PAUSE = 0.1
"""Seconds between two looks at whether there is an idle core, while there is none: each costs the
worker some microseconds."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Sample:
    """An image and what the model that serves has answered.

    Attributes:
        crop: `[H, W, 3] uint8`; None where this model wants another one than the first.
        image: to make one of; None if there is one.
        best: the first model's best category; None if it has none.
    """

    crop: Pixels | None
    image: LocalImage | None
    best: Category | None
    nbytes: int


class Shadow:
    """Compares a second model's answers with those of the one that serves; for one event loop.

    Args:
        slots: its processes, the predictors of which were started; those for images are started
            when there is the first image that they are needed for.
        count: how many predictors there are.
        share: of the images that it gets, 0 to 1.
        idle_cores: counts the cores that the model that serves does not use now.
        clock: pauses, and draws the images.
    """

    def __init__(
        self,
        slots: ModelSlots,
        count: int,
        share: float,
        idle_cores: Callable[[], int],
        metrics: Metrics,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._slots = slots
        self._count = count
        self._share = share
        self._idle_cores = idle_cores
        self._metrics = metrics
        self._clock = clock
        # Invariant: at most MOST_WAITING samples, of `_held` bytes, which is at most MOST_BYTES.
        self._waiting: deque[_Sample] = deque()
        self._held = 0
        self._filled = asyncio.Event()
        self._computing = 0
        self._images_start: asyncio.Task[None] | None = None
        count_images = metrics.shadow_images.labels
        self._agreed, self._differed = count_images(AGREED), count_images(DIFFERED)
        self._dropped, self._failed = count_images(DROPPED), count_images(FAILED)
        difference = metrics.shadow_difference.labels
        self._higher, self._lower = difference(HIGHER), difference(LOWER)

    def show(self) -> None:
        """Have the metrics show its model and its processes."""
        metrics = self._metrics
        metrics.shadow_up.read = self._up
        metrics.shadow_cpu.read = lambda: self._usage(attrgetter("cpu_seconds"))
        metrics.shadow_memory.read = lambda: self._usage(attrgetter("resident_bytes"))

    @property
    def pids(self) -> list[int]:
        """Its processes that are up."""
        return [*self._slots.pool.pids, *self._slots.images.pids]

    def offer(
        self, spec: ModelSpec, image: LocalImage, crop: Pixels, best: Category | None
    ) -> None:
        """Take an image that was answered, if it is drawn and there is room; returns at once.

        Args:
            spec: the model that has answered.
            image: encoded or as pixels.
            crop: `[H, W, 3] uint8`, as that model wanted it; copied if it is kept.
            best: the best category of the answer; None if it has none.
        """
        if self._clock.uniform(0.0, 1.0) >= self._share:
            return
        same = _transform(spec) == _transform(self._slots.spec)
        nbytes = crop.nbytes if same else _nbytes(image)
        if len(self._waiting) >= MOST_WAITING or self._held + nbytes > MOST_BYTES:
            self._dropped.inc()
            return
        try:
            kept = crop.copy() if same else None
        except MemoryError:
            self._dropped.inc()
            return
        self._waiting.append(_Sample(kept, None if same else image, best, nbytes))
        self._held += nbytes
        self._filled.set()

    async def run(self) -> None:
        """Compute what was offered, until it is cancelled."""
        await asyncio.gather(*(self._work() for _ in range(self._count)))

    async def stop(self) -> None:
        """End its processes."""
        if self._images_start is not None:
            self._images_start.cancel()
            await asyncio.gather(self._images_start, return_exceptions=True)
        await self._slots.stop()

    async def _work(self) -> None:
        while True:
            sample = await self._next()
            self._computing += 1
            try:
                self._compare(sample.best, await self._scores(sample))
            except JobError as error:
                self._failed.inc()
                log.debug("shadow_failed_image", error=str(error))
            except Exception as error:
                # It costs this comparison alone, whatever it is.
                self._failed.inc()
                log.exception("shadow_raised", error=type(error).__name__)
            finally:
                self._computing -= 1

    async def _next(self) -> _Sample:
        """Wait for an image, and for a core that nobody uses."""
        while True:
            # Another slot may have taken what it was woken for.
            while not self._waiting:
                await self._filled.wait()
            if self._idle_cores() > self._computing:
                sample = self._waiting.popleft()
                self._held -= sample.nbytes
                if not self._waiting:
                    self._filled.clear()
                return sample
            await self._clock.sleep(PAUSE)

    async def _scores(self, sample: _Sample) -> Scores:
        urgency = self._clock.wall()
        if sample.crop is not None:
            return await self._timed(sample.crop, urgency)
        assert sample.image is not None
        images = await self._images()
        prepared = await images.prepare(sample.image, urgency, None)
        try:
            return await self._timed(prepared.crop, urgency)
        finally:
            images.release(prepared)

    async def _timed(self, crop: Pixels, urgency: float) -> Scores:
        began = self._clock.monotonic()
        scores = await self._slots.pool.classify(crop, urgency)
        self._metrics.shadow_duration.observe(self._clock.monotonic() - began)
        return scores

    async def _images(self) -> ImageProcesses:
        """The processes that transform images for it, started if they were not."""
        if self._images_start is None or (
            self._images_start.done() and self._images_start.exception() is not None
        ):
            self._images_start = asyncio.create_task(self._slots.images.start())
        # One start for all that wait.
        await asyncio.shield(self._images_start)
        return self._slots.images

    def _compare(self, first: Category | None, scores: Scores) -> None:
        categories = choose_categories(scores, 1, self._slots.spec)
        mine = categories[0] if categories else None
        same = (first and first.name) == (mine and mine.name)
        (self._agreed if same else self._differed).inc()
        if first is not None and mine is not None:
            difference = mine.score - first.score
            (self._higher if difference >= 0 else self._lower).observe(abs(difference))

    def _up(self) -> Samples:
        identity = self._slots.identity
        labels = (identity.name, identity.digest, identity.backend)
        return [(labels, float(bool(self._slots.pool.pids)))]

    def _usage(self, of: Callable[[ProcessUsage], float]) -> Samples:
        return [((), sum(of(process_usage(pid)) for pid in self.pids))]


def _transform(spec: ModelSpec) -> tuple[object, ...]:
    """All that a crop depends on; two models that have it in common share crops."""
    return spec.resize, spec.crop, spec.channels, spec.input_size


def _nbytes(image: LocalImage) -> int:
    # A file is read when it is decoded.
    return 0 if isinstance(image, Path) else image.nbytes
