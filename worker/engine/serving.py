"""A model as jobs see it: what computes with it, and what its files say, in one value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from worker.contract.jobs import ModelIdentity
from worker.imaging.images import ImageProcesses
from worker.imaging.protocol import LocalImage
from worker.metrics import Metrics
from worker.metrics.answers import Answers, Observe
from worker.model import ModelSpec

__all__ = ["Classifier", "ServingModel", "WithdrawnError"]

T = TypeVar("T")


class WithdrawnError(Exception):
    """The model has ended before the job; no one is at fault."""


class Classifier(Protocol):
    """What turns crops into scores: the predictor pool."""

    @property
    def backend(self) -> str:
        """What computes, such as `paddle+onednn`; empty before the start."""
        ...

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


class ServingModel:
    """All that a job needs of a model; for one event loop.

    A job holds on to it (`hold`) from before it looks for a kept result to its answer. So an image
    that was transformed for one model is neither computed nor labelled by another one that replaces
    it meanwhile, and it is known when the last job has left.

    Args:
        classifier: computes crops' scores.
        images: decode images and transform them for this model.

    Attributes:
        spec: what its files say.
        classifier: as given.
        images: as given.
    """

    def __init__(
        self, spec: ModelSpec, classifier: Classifier, images: ImageProcesses, metrics: Metrics
    ) -> None:
        self.spec = spec
        self.classifier = classifier
        self.images = images
        self._metrics = metrics
        self._observe: Observe | None = None
        self._identity = ModelIdentity(spec.name, spec.digest, "")
        # Invariant: the task of every job in it.
        self._jobs: set[asyncio.Task[object]] = set()
        # Invariant: those of them that were cancelled here and have not heard of it yet.
        self._withdrawn: set[asyncio.Task[object]] = set()
        self._left: asyncio.Future[None] | None = None

    @cached_property
    def answers(self) -> Answers:
        """Counts what it answers. A model that never serves has no series in the metrics."""
        return Answers(self._metrics, self.spec, self._observe)

    def compare(self, observe: Observe | None) -> None:
        """Compare what it answers with its baseline too; before its first answer."""
        self._observe = observe

    @property
    def identity(self) -> ModelIdentity:
        """The model as results name it; without a backend before the start."""
        backend = self.classifier.backend
        if backend != self._identity.backend:
            # One value for all results: those that are kept hold on to it.
            self._identity = ModelIdentity(self.spec.name, self.spec.digest, backend)
        return self._identity

    async def hold(self, work: Callable[[ServingModel], Awaitable[T]]) -> T:
        """Do a job with this model, which does not end before the job does.

        Raises:
            WithdrawnError: it ends all the same: the job is to begin again, with another model.
        """
        task = asyncio.current_task()
        assert task is not None, "each job has a task of its own"
        self._jobs.add(task)
        try:
            return await work(self)
        except asyncio.CancelledError:
            # As `asyncio.timeout` does it: somebody else may have cancelled the job too.
            if self._take_back(task) and not task.cancelling():
                raise WithdrawnError from None
            raise
        finally:
            self._jobs.discard(task)
            # Of one that has ended all the same: its caller's time-outs count cancellations.
            self._take_back(task)
            if self._left is not None and not self._jobs and not self._left.done():
                self._left.set_result(None)

    def _take_back(self, task: asyncio.Task[object]) -> bool:
        """Count a job as not cancelled here; whether it was."""
        withdrawn = task in self._withdrawn
        if withdrawn:
            self._withdrawn.discard(task)
            task.uncancel()
        return withdrawn

    async def scores(self, image: LocalImage, urgency: float) -> npt.NDArray[np.float32]:
        """Compute the scores of an image that is nobody's job; cancelling withdraws it.

        Args:
            urgency: seconds since the epoch, the smaller the sooner.

        Returns:
            `[C] float32`, 0 to 1.

        Raises:
            JobError: the image cannot be used; the message says why.
        """
        prepared = await self.images.prepare(image, urgency, None)
        try:
            return await self.classifier.classify(prepared.crop, urgency)
        finally:
            self.images.release(prepared)

    async def drained(self, within: float) -> None:
        """Wait until no job is in it. No new one may enter: another model serves already.

        Jobs that are not done in time are withdrawn from it: see `hold`.

        Args:
            within: seconds.
        """
        if not self._jobs:
            return
        self._left = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait((self._left,), timeout=within)
        if not done:
            self._withdrawn |= self._jobs
            for task in self._withdrawn:
                task.cancel()
            await self._left
