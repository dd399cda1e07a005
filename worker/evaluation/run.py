"""Evaluates one model: its answers to labelled images, in one pass through `predict`'s own path."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from worker.clock import SYSTEM_CLOCK, Clock
from worker.drift.counting import BaselineCounts
from worker.errors import DatasetError, JobError, Reason
from worker.evaluation.answers import AnswerTable
from worker.evaluation.classes import match_classes
from worker.evaluation.thumbnails import SIDE, Thumbnails
from worker.predict.inputs import Source

if TYPE_CHECKING:
    from worker.contract.jobs import ModelIdentity
    from worker.datasets import Dataset, Item
    from worker.engine.pipeline import Classified
    from worker.evaluation.answers import Answers
    from worker.imaging.protocol import Pixels
    from worker.model import ModelSpec

__all__ = ["Classifier", "Evaluation", "Unusable", "evaluate"]

QUALITY = 75
"""Of thumbnails, 1 to 100."""


class Classifier(Protocol):
    """A loaded model: `ImageClassificationPipeline`."""

    @property
    def spec(self) -> ModelSpec:
        """The model."""
        ...

    @property
    def identity(self) -> ModelIdentity:
        """Its name, digest and backend."""
        ...

    def classify(
        self, sources: Iterable[Source], batch_size: int | None = None
    ) -> Iterator[tuple[Source, Classified | JobError]]:
        """Classify images one by one, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Unusable:
    """An image that was not evaluated.

    Attributes:
        item: its place in the data set.
        reason: the label of a `Reason`.
        message: what is wrong with it.
    """

    item: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one model answered to the images of a data set.

    Attributes:
        model: its name, digest and backend.
        pictures: JPEG files of some mistakes, by their images' places in the data set.
        baseline: the answers as a drift baseline counts them.
        seconds: from the first image to the last answer.
    """

    model: ModelIdentity
    answers: Answers
    unusable: tuple[Unusable, ...]
    pictures: dict[int, bytes]
    baseline: BaselineCounts
    seconds: float


def evaluate(
    classifier: Classifier,
    dataset: Dataset,
    on_image: Callable[[], None] = lambda: None,
    clock: Clock = SYSTEM_CLOCK,
) -> Evaluation:
    """Classify all images of a data set.

    Args:
        classifier: keeps no results, so that each comes with the scores of all classes.
        on_image: called after each image.

    Returns:
        The answers, at least one.

    Raises:
        DatasetError: no class has a name that the model knows, or no image can be used.
        PredictorError: the network's processes cannot be started again.
    """
    table: AnswerTable | None = None
    thumbnails, baseline = Thumbnails(), BaselineCounts()
    unusable: list[Unusable] = []
    began = clock.monotonic()
    for place, (_, found) in enumerate(classifier.classify(map(_source, dataset.items))):
        on_image()
        if isinstance(found, JobError):
            unusable.append(Unusable(place, found.reason.label, found.message))
            continue
        scores, label = found.scores, dataset.items[place].label
        assert scores is not None, "results are kept"
        if table is None:
            outputs = [classifier.spec.label(number) for number in range(len(scores))]
            table = AnswerTable(match_classes(outputs, dataset.labels), len(dataset.items))
        best = found.categories[0] if found.categories else None
        answer = None if best is None else (best.name, best.score)
        right = table.add(place, label, scores, answer)
        baseline.count(scores, None if best is None else best.name)
        if not right:
            score = 0.0 if best is None else best.score
            thumbnails.offer(place, score, partial(_thumbnail, found.picture))
    if table is None:
        raise _nothing_usable(dataset.items, unusable)
    return Evaluation(
        classifier.identity,
        table.answers(),
        tuple(unusable),
        thumbnails.pictures(),
        baseline,
        clock.monotonic() - began,
    )


def _source(item: Item) -> Source:
    try:
        is_other = not stat.S_ISREG(item.path.stat().st_mode)
    except (OSError, ValueError):
        is_other = False  # reading it says what is wrong
    if is_other:
        # Opening a pipe would wait for its writer.
        return Source(item.name, JobError(Reason.NOT_FOUND, "it is no plain file"))
    return Source(item.name, item.path)


def _thumbnail(picture: Pixels) -> bytes:
    from worker.images.draw import shrink  # noqa: PLC0415 - codecs, where nothing may be wrong
    from worker.images.encode import encode  # noqa: PLC0415 - as above

    # A copy of the pixels alone: neither a place nor a camera's number gets into the report.
    return encode(shrink(picture, SIDE), ".jpg", QUALITY)


def _nothing_usable(items: tuple[Item, ...], unusable: list[Unusable]) -> DatasetError:
    reasons = Counter(each.reason for each in unusable)
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    first = unusable[0]
    return DatasetError(
        f"none of the {len(items)} images can be used: {counts}. The first is "
        f"{items[first.item].name}: {first.message}"
    )
