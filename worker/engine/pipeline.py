"""The core that all doors share: fetch, decode, classify, draw. One job in, one outcome out.

Stages know nothing of each other; they are wired here and nowhere else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import structlog

from worker.budget import Reservation
from worker.contract.jobs import Category, EncodedImage, Job, Outcome, RawImage, Success, UrlImage
from worker.engine.categories import choose_categories
from worker.errors import Failure, JobError, Reason, Stage
from worker.failpoints import Failpoints
from worker.images.base64 import decode_image_text
from worker.images.draw import draw
from worker.images.fetch import ImageFetcher
from worker.images.prepare import Prepared, prepare
from worker.images.sniffing import refuse_unknown
from worker.images.threads import ImageThreads
from worker.images.transform import Transform
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.settings import Settings

__all__ = ["Classifier", "Pipeline"]

NONE = Failpoints()

log = structlog.get_logger(__name__)


class Classifier(Protocol):
    """What turns crops into scores: the predictor pool, or a predictor in this process."""

    async def classify(
        self, crop: npt.NDArray[np.uint8], urgency: float
    ) -> npt.NDArray[np.float32]:
        """Scores `[C]` of a crop `[H, W, 3]`."""
        ...


class Pipeline:
    """Runs jobs through the stages; many at a time, for one event loop.

    Args:
        threads: those that decode and draw.
        failpoints: faults to inject, for tests.
    """

    def __init__(
        self,
        spec: ModelSpec,
        fetcher: ImageFetcher,
        classifier: Classifier,
        threads: ImageThreads,
        settings: Settings,
        metrics: Metrics,
        *,
        failpoints: Failpoints = NONE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spec = spec
        self._fetcher = fetcher
        self._classifier = classifier
        self._threads = threads
        self._settings = settings
        self._metrics = metrics
        self._failpoints = failpoints
        self._clock = clock
        self._transform = Transform(spec.resize, spec.crop, spec.channels)
        self._top_k = settings.predictor.top_k or spec.top_k

    async def process(self, job: Job, held: Reservation) -> Outcome:
        """Take one job through all stages.

        Whatever is wrong with the job comes back as a `Failure`. Cancelling withdraws it.

        Args:
            held: accounts for the bytes that the job holds on its way.
        """
        try:
            if job.deadline is None:
                return await self._run(job, held)
            return await self._run_until(job.deadline, job, held)
        except JobError as error:
            return error.as_failure()
        except MemoryError:
            # Outside the threads, where little is held: nothing to wait for, and no defect.
            return Failure(
                Reason.UNAVAILABLE,
                "the worker has no memory left for this image; try again later",
                Reason.UNAVAILABLE.stage,
            )
        except Exception as error:
            # A defect here must cost this job alone; it is loud in the log and in the metrics.
            log.exception("job_raised", job_id=job.job_id)
            return Failure(
                Reason.INTERNAL, f"internal error: {type(error).__name__}", Reason.INTERNAL.stage
            )

    async def _run_until(self, deadline: float, job: Job, held: Reservation) -> Outcome:
        remaining = deadline - self._clock()
        expired = JobError(
            Reason.DEADLINE_EXCEEDED,
            "the job's deadlineMs has passed; allow more time or send it sooner",
        )
        if remaining <= 0:
            raise expired
        scope = asyncio.timeout(remaining)
        try:
            async with scope:
                return await self._run(job, held)
        except TimeoutError:
            if scope.expired():
                raise expired from None
            raise

    async def _run(self, job: Job, held: Reservation) -> Outcome:
        prepared = await self._prepare(job, held)
        urgency = (
            job.deadline
            if job.deadline is not None
            else self._clock() + self._settings.batching.patience
        )
        scores = await self._classifier.classify(prepared.crop, urgency)
        answer = Success(choose_categories(scores, job.top_k or self._top_k, self._spec))
        if prepared.picture is None:
            return answer
        with self._metrics.time_stage(Stage.DRAW):
            picture = await self._threads.run(
                Stage.DRAW,
                partial(_drawn, prepared.picture, answer.best, self._settings.picture.quality),
            )
        held.add(len(picture))
        return replace(answer, picture=picture)

    async def _prepare(self, job: Job, held: Reservation) -> Prepared:
        data: bytes | None = None
        if isinstance(job.image, UrlImage):
            with self._metrics.time_stage(Stage.FETCH):
                data = await self._fetcher.fetch(job.image.url, job.deadline)
            held.add(len(data))
            refuse_unknown(data)
        visualize = self._settings.picture.enabled if job.visualize is None else job.visualize
        side = self._settings.picture.max_side if visualize else None
        loop = asyncio.get_running_loop()

        def add(nbytes: int) -> None:
            loop.call_soon_threadsafe(held.add, nbytes)

        with self._metrics.time_stage(Stage.DECODE):
            prepared = await self._threads.run(
                Stage.DECODE, partial(self._decode, job, data, side, add)
            )
        if data is not None:
            held.add(-len(data))
        return prepared

    def _decode(
        self, job: Job, fetched: bytes | None, side: int | None, add: Callable[[int], object]
    ) -> Prepared:
        """In a thread: from the encoded image to what is kept of it.

        Args:
            add: accounts for bytes: for pixels before there are any.
        """
        limits = self._settings.decode
        if fetched is not None:
            data = fetched
        elif isinstance(job.image, EncodedImage):
            data = decode_image_text(job.image.text, limits.max_bytes)
        else:
            assert isinstance(job.image, RawImage)
            data = job.image.data
        prepared = prepare(data, self._transform, limits, side, add)
        self._failpoints.after_decoding(prepared.crop)
        return prepared


def _drawn(picture: npt.NDArray[np.uint8], best: Category | None, quality: int) -> bytes:
    if best is None:
        return draw(picture, None, 0.0, quality)
    return draw(picture, best.name, best.score, quality)
