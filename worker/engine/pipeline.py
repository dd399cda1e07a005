"""The stages of one image, wired here and nowhere else: fetch, decode, classify, draw.

Stages know nothing of each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from worker.budget import Reservation
from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.jobs import Category, ImageSource, Job, Outcome, RawImage, Success, UrlImage
from worker.engine.categories import choose_categories
from worker.engine.content import ContentHash, Encoded, digest_of_crop
from worker.engine.result_cache import Computed, Key, ResultCache
from worker.engine.serving import ServingModel, WithdrawnError
from worker.errors import Failure, JobError, Reason, Stage
from worker.images.fetch import ImageFetcher
from worker.images.sniffing import refuse_unknown
from worker.imaging.prepared import Picture, PreparedImage
from worker.imaging.protocol import Pixels
from worker.logs import get_logger
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.tracing.tracer import Tracer

__all__ = ["Classified", "Pipeline"]

AnyImage: TypeAlias = ImageSource | Path | Pixels
"""An image in any form that the engine takes."""

Offer: TypeAlias = Callable[[ModelSpec, Encoded, npt.NDArray[np.uint8], Category | None], None]
"""Is given the model, the image, its crop `[H, W, 3] uint8`, which is valid for the call alone, and
the best category of the answer."""

T = TypeVar("T")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Classified:
    """One image and what it shows.

    Attributes:
        categories: best first; empty if none reaches the model's threshold.
        picture: the whole image, `[h, w, 3] uint8` BGR.
        scores: of all classes, `[C] float32`, 0 to 1; None where results are kept
            (`result_cache.max_entries`), which are kept without them.
    """

    categories: tuple[Category, ...]
    picture: Pixels
    scores: npt.NDArray[np.float32] | None = None


class Pipeline:
    """Runs images through the stages; many at a time, for one event loop.

    Args:
        serving: tells which model serves now; a job asks when its image is here.
        tracer: makes spans of the stages; None without tracing.
        offer: is told of each image that the network has computed; must return at once.
    """

    def __init__(
        self,
        serving: Callable[[], ServingModel],
        fetcher: ImageFetcher,
        settings: Settings,
        metrics: Metrics,
        *,
        tracer: Tracer | None = None,
        offer: Offer = lambda *_: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._serving = serving
        self._offer = offer
        self._fetcher = fetcher
        self._settings = settings
        self._metrics = metrics
        timed = metrics.time_stage
        self._timed = timed if tracer is None else tracer.with_spans(timed)
        self._clock = clock
        self._top_k = settings.predictor.top_k
        self._cache: ResultCache | None = None
        if settings.result_cache.max_entries:
            patience = settings.batching.patience
            self._cache = ResultCache(settings.result_cache, patience, metrics, clock=clock)
            self._content = ContentHash(settings.decode.max_bytes)

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
        deadline: float | None = None,
        most: int | None = None,
    ) -> Classified:
        """Take one image through all stages but drawing; cancelling the call withdraws the image.

        Args:
            held: accounts for the bytes that the image holds on its way.
            top_k: most categories.
            deadline: seconds since the epoch by which images are ordered and no longer fetched;
                None means never.
            most: images of the largest batch that it may be in; None leaves it to the predictors.

        Returns:
            The categories, and the image itself.

        Raises:
            JobError: the image cannot be used; the message says why.
        """
        if isinstance(image, UrlImage):
            image = await self._fetch(image, held, deadline)
        return await self._with_model(
            partial(self._classify, image, held, top_k=top_k, deadline=deadline, most=most)
        )

    async def _with_model(self, work: Callable[[ServingModel], Awaitable[T]]) -> T:
        """Do something with the model that serves now; with the next one if that ends meanwhile."""
        while True:
            try:
                return await self._serving().hold(work)
            except WithdrawnError:
                continue

    async def _classify(
        self,
        image: Encoded | Path | Pixels,
        held: Reservation,
        model: ServingModel,
        *,
        top_k: int,
        deadline: float | None,
        most: int | None,
    ) -> Classified:
        urgency = self._urgency(deadline)
        with self._timed(Stage.DECODE):
            prepared = await model.images.prepare(image, urgency, None, held.add, whole=True)
        assert prepared.pixels is not None
        scores = None
        try:
            if self._cache is None:
                scores = await model.classifier.classify(prepared.crop, urgency, most)
                computed = _computed(model, scores, top_k)
                # At once: the scores are the caller's from here on.
                computed.answered.count()
            else:
                infer = partial(self._infer, model, prepared, urgency, top_k, most)
                # The pixels are wanted in any case: what is computed once is the network.
                key = Key(digest_of_crop(prepared.crop), model.spec.digest, top_k)
                computed = await self._cache.get(key, np.ndarray, urgency, deadline, infer)
        finally:
            model.images.release(prepared)
        return Classified(computed.success.categories, prepared.pixels, scores)

    async def _run_until(self, deadline: float, job: Job, held: Reservation) -> Outcome:
        remaining = deadline - self._clock.wall()
        if remaining <= 0:
            self._metrics.expired.labels("before_start").inc()
            return _expired().as_failure()
        scope = asyncio.timeout(remaining)
        try:
            async with scope:
                return await self._run(job, held)
        except TimeoutError:
            if scope.expired():
                # Kept here, it and its traceback would keep the job until garbage is collected.
                raise _expired() from None
            raise

    async def _run(self, job: Job, held: Reservation) -> Success:
        image = job.image
        if isinstance(image, UrlImage):
            image = await self._fetch(image, held, job.deadline)
        return await self._with_model(partial(self._answer, job, image, held))

    async def _answer(
        self, job: Job, image: Encoded, held: Reservation, model: ServingModel
    ) -> Success:
        visualize = self._settings.picture.enabled if job.visualize is None else job.visualize
        urgency = self._urgency(job.deadline)
        top_k = job.top_k or self._top_k or model.spec.top_k
        side = self._settings.picture.max_side if visualize else None
        compute = partial(self._compute, model, image, urgency, side, top_k, held)
        content = None
        if self._cache is not None:
            content = await self._content.digest(image, held)
        if self._cache is None or content is None:
            success = (await compute()).success
        else:
            quality = self._settings.picture.quality if visualize else 0
            key = Key(content, model.spec.digest, top_k, side, quality)
            found = await self._cache.get(key, type(image), urgency, job.deadline, compute)
            success = found.success
        if success.picture is not None:
            held.add(len(success.picture))
        return success

    async def _compute(
        self,
        model: ServingModel,
        image: Encoded,
        urgency: float,
        side: int | None,
        top_k: int,
        held: Reservation,
    ) -> Computed:
        images = model.images
        with self._timed(Stage.DECODE):
            quality = self._settings.picture.quality
            prepared = await images.prepare(image, urgency, side, held.add, quality=quality)
        try:
            computed = await self._infer(model, prepared, urgency, top_k)
            self._offer(model.spec, image, prepared.crop, computed.success.best)
            # Others may have its memory while it is drawn.
            images.release_crop(prepared)
            if prepared.picture is None:
                return computed
            success = computed.success
            picture = await self._draw(model, prepared.picture, success.categories)
        finally:
            images.release(prepared)
        return Computed(Success(success.categories, picture, success.model), computed.answered)

    async def _fetch(self, image: UrlImage, held: Reservation, deadline: float | None) -> RawImage:
        with self._timed(Stage.FETCH):
            data = await self._fetcher.fetch(image.url, deadline)
        # Held to the end: it is decoded again if its picture is lost.
        held.add(len(data))
        refuse_unknown(data)
        return RawImage(data)

    async def _infer(
        self,
        model: ServingModel,
        prepared: PreparedImage,
        urgency: float,
        top_k: int,
        most: int | None = None,
    ) -> Computed:
        scores = await model.classifier.classify(prepared.crop, urgency, most)
        computed = _computed(model, scores, top_k)
        # In the event loop's next turn: what follows here is what somebody waits for.
        asyncio.get_running_loop().call_soon(computed.answered.count)
        return computed

    async def _draw(
        self, model: ServingModel, picture: Picture, categories: Sequence[Category]
    ) -> bytes:
        best = categories[0] if categories else None
        label, score = (None, 0.0) if best is None else (best.name, best.score)
        with self._timed(Stage.DRAW):
            jpeg = await model.images.draw(picture, label, score, self._settings.picture.quality)
        return bytes(jpeg)

    def _urgency(self, deadline: float | None) -> float:
        if deadline is not None:
            return deadline
        return self._clock.wall() + self._settings.batching.patience


def _expired() -> JobError:
    return JobError(
        Reason.DEADLINE_EXCEEDED,
        "the job's deadlineMs has passed; allow more time or send it sooner",
    )


def _computed(model: ServingModel, scores: npt.NDArray[np.float32], top_k: int) -> Computed:
    """Make an answer of a network's scores."""
    categories = choose_categories(scores, top_k, model.spec)
    answered = model.answers.answered(scores, categories[0].name if categories else None)
    return Computed(Success(categories, model=model.identity), answered)
