"""The stages of one image, wired here and nowhere else: fetch, decode, classify, draw.

Stages know nothing of each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from worker.budget import Reservation
from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.jobs import Category, Job, Outcome, RawImage, Success, UrlImage
from worker.engine.categories import choose_categories
from worker.engine.preparation import AnyImage, LocalImage, Pixels, prepare_image
from worker.errors import Failure, JobError, Reason, Stage
from worker.failpoints import Failpoints
from worker.images.draw import draw
from worker.images.fetch import ImageFetcher
from worker.images.prepare import Prepared
from worker.images.sniffing import refuse_unknown
from worker.images.threads import ImageThreads
from worker.images.transform import Transform
from worker.logs import get_logger
from worker.metrics import Metrics
from worker.metrics.answers import Answers
from worker.model import ModelSpec
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.tracing.tracer import Tracer

__all__ = ["Classified", "Classifier", "Pipeline"]

NONE = Failpoints()

log = get_logger(__name__)


class Classifier(Protocol):
    """What turns crops into scores: the predictor pool."""

    async def classify(
        self, crop: npt.NDArray[np.uint8], urgency: float, most: int | None = None
    ) -> npt.NDArray[np.float32]:
        """Compute the scores of one crop; see `PredictorPool.classify`.

        Args:
            crop: `[H, W, 3] uint8`.

        Returns:
            `[C] float32`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Classified:
    """One image and what it shows.

    Attributes:
        categories: best first; empty if none reaches the model's threshold.
        picture: `[h, w, 3] uint8` BGR, not drawn on yet; None when no picture was asked for.
    """

    categories: tuple[Category, ...]
    picture: Pixels | None

    @property
    def best(self) -> Category | None:
        """The best category, if there is any."""
        return self.categories[0] if self.categories else None


class Pipeline:
    """Runs images through the stages; many at a time, for one event loop.

    Args:
        threads: those that decode and draw.
        failpoints: faults to inject, for tests.
        tracer: makes spans of the stages; None without tracing.
    """

    def __init__(  # noqa: PLR0913 - the one place where all of these meet
        self,
        spec: ModelSpec,
        fetcher: ImageFetcher,
        classifier: Classifier,
        threads: ImageThreads,
        settings: Settings,
        metrics: Metrics,
        *,
        failpoints: Failpoints = NONE,
        tracer: Tracer | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._spec = spec
        self._fetcher = fetcher
        self._classifier = classifier
        self._threads = threads
        self._settings = settings
        self._metrics = metrics
        timed = metrics.time_stage
        self._timed = timed if tracer is None else tracer.with_spans(timed)
        self._failpoints = failpoints
        self._clock = clock
        self._transform = Transform(spec.resize, spec.crop, spec.channels)
        self._top_k = settings.predictor.top_k or spec.top_k
        self._answers = Answers(metrics, spec)

    async def process(self, job: Job, held: Reservation) -> Outcome:
        """Take one job through all stages; cancelling withdraws it.

        Args:
            held: accounts for the bytes that the job holds on its way.

        Returns:
            The answer; a `Failure` for whatever is wrong with the job.
        """
        try:
            if job.deadline is None:
                return await self._run(job, held)
            return await self._run_until(job.deadline, job, held)
        except JobError as error:
            if error.reason is Reason.DEADLINE_EXCEEDED:
                self._metrics.expired.labels("under_way").inc()
            return error.as_failure()
        except MemoryError:
            # Raised outside the threads, where little is held: waiting would free nothing.
            return Failure(
                Reason.UNAVAILABLE,
                "the worker has no memory left for this image; try again later",
                Reason.UNAVAILABLE.stage,
                transient=True,
            )
        except Exception as error:
            # A defect here must cost this job alone; it is loud in the log and in the metrics.
            log.exception("job_raised", job_id=job.job_id)
            return Failure(
                Reason.INTERNAL, f"internal error: {type(error).__name__}", Reason.INTERNAL.stage
            )

    async def classify(
        self,
        image: AnyImage,
        held: Reservation,
        *,
        top_k: int,
        picture_side: int | None,
        deadline: float | None = None,
        most: int | None = None,
    ) -> Classified:
        """Take one image through all stages but drawing; cancelling the call withdraws the image.

        Args:
            held: accounts for the bytes that the image holds on its way.
            top_k: most categories.
            picture_side: longest side of the picture in pixels; None asks for no picture.
            deadline: seconds since the epoch by which images are ordered and no longer fetched;
                None means never.
            most: images of the largest batch that it may be in; None leaves it to the predictors.

        Returns:
            The categories, and the picture to draw on if one is wanted.

        Raises:
            JobError: the image cannot be used; the message says why.
        """
        prepared = await self._prepare(image, held, picture_side, deadline)
        urgency = (
            deadline
            if deadline is not None
            else self._clock.wall() + self._settings.batching.patience
        )
        scores = await self._classifier.classify(prepared.crop, urgency, most)
        found = Classified(choose_categories(scores, top_k, self._spec), prepared.picture)
        self._answers.count(scores, None if found.best is None else found.best.name)
        return found

    async def _run_until(self, deadline: float, job: Job, held: Reservation) -> Outcome:
        remaining = deadline - self._clock.wall()
        expired = JobError(
            Reason.DEADLINE_EXCEEDED,
            "the job's deadlineMs has passed; allow more time or send it sooner",
        )
        if remaining <= 0:
            self._metrics.expired.labels("before_start").inc()
            return expired.as_failure()
        scope = asyncio.timeout(remaining)
        try:
            async with scope:
                return await self._run(job, held)
        except TimeoutError:
            if scope.expired():
                raise expired from None
            raise

    async def _run(self, job: Job, held: Reservation) -> Outcome:
        visualize = self._settings.picture.enabled if job.visualize is None else job.visualize
        found = await self.classify(
            job.image,
            held,
            top_k=job.top_k or self._top_k,
            picture_side=self._settings.picture.max_side if visualize else None,
            deadline=job.deadline,
        )
        if found.picture is None:
            return Success(found.categories)
        with self._timed(Stage.DRAW):
            picture = await self._threads.run(
                Stage.DRAW,
                partial(_drawn, found.picture, found.best, self._settings.picture.quality),
            )
        held.add(len(picture))
        return Success(found.categories, picture)

    async def _prepare(
        self, image: AnyImage, held: Reservation, picture_side: int | None, deadline: float | None
    ) -> Prepared:
        fetched = 0
        if isinstance(image, UrlImage):
            with self._timed(Stage.FETCH):
                data = await self._fetcher.fetch(image.url, deadline)
            fetched = len(data)
            held.add(fetched)
            refuse_unknown(data)
            image = RawImage(data)
            del data
        loop = asyncio.get_running_loop()

        def account(nbytes: int) -> None:
            loop.call_soon_threadsafe(held.add, nbytes)

        with self._timed(Stage.DECODE):
            prepared = await self._threads.run(
                Stage.DECODE, partial(self._decode, image, picture_side, account)
            )
        held.add(-fetched)
        return prepared

    def _decode(
        self, image: LocalImage, picture_side: int | None, account: Callable[[int], object]
    ) -> Prepared:
        """In a thread: read, decode and transform.

        Args:
            account: accounts for bytes: for pixels before there are any.
        """
        limits = self._settings.decode
        prepared = prepare_image(image, self._transform, limits, picture_side, account)
        self._failpoints.after_decoding(prepared.crop)
        return prepared


def _drawn(picture: npt.NDArray[np.uint8], best: Category | None, quality: int) -> bytes:
    if best is None:
        return draw(picture, None, 0.0, quality)
    return draw(picture, best.name, best.score, quality)
