"""What a model answers, for metrics: its classes, and how sure it is.

A camera that is out of focus or a new kind of picture shows here first: other classes than usual,
or lower scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from worker.model.rules import AllAbove

if TYPE_CHECKING:
    import numpy.typing as npt
    from prometheus_client import Counter, Histogram

    from worker.metrics import Metrics
    from worker.model import ModelSpec

__all__ = ["NONE", "Answered", "Answers", "Counted", "Observe", "entropy"]

Observe: TypeAlias = Callable[[str, float | None, float | None], Callable[[], None]]
"""Is told of an answer: its best class (or `NONE`), its best score and its entropy, None where
there is none. What it returns is called once for each job with that answer."""

MOST_CLASSES = 100
"""Classes of a model that have series of their own. Of a longer list, these are the first that
occur: most likely the frequent ones, while the list's own order says nothing about that."""

OTHER, NONE = "other", "none"

LONGEST_LABEL = 80
"""Characters of a class's name."""

_LEAST = np.finfo(np.float32).tiny


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted of an answer."""

    counter: Counter
    observed: tuple[tuple[Histogram, float], ...]
    compared: Callable[[], None] | None = None


class Answered:
    """One image's answer, which is counted once for each job that it answers.

    Args:
        find: finds what is counted, when it is counted for the first time.
    """

    __slots__ = ("_counted", "_find")

    def __init__(self, find: Callable[[], Counted]) -> None:
        self._find = find
        self._counted: Counted | None = None

    def count(self) -> None:
        """Count it."""
        if self._counted is None:
            self._counted = self._find()
            # It has the scores.
            del self._find
        self._counted.counter.inc()
        for histogram, value in self._counted.observed:
            histogram.observe(value)
        if self._counted.compared is not None:
            self._counted.compared()


class Answers:
    """Counts the answers of one model; for one event loop.

    Args:
        observe: compares them with the model's baseline; None if there is none.
    """

    def __init__(self, metrics: Metrics, spec: ModelSpec, observe: Observe | None = None) -> None:
        self._metrics = metrics
        self._digest = spec.digest
        self._observe = observe
        metrics.expect_model(spec.digest)
        self._best_score = metrics.best_score.labels(spec.digest)
        self._score_entropy = metrics.score_entropy.labels(spec.digest)
        # By the class's whole name.
        self._counters: dict[str, Counter] = {}
        # Invariant: at most MOST_CLASSES, none is ever taken back: counters must not decrease.
        self._shown: set[str] = set()
        self._other = metrics.predictions.labels(spec.digest, OTHER)
        names = set(spec.labels)
        if len(names) <= MOST_CLASSES:
            for name in names:
                self._counter(name)
        if isinstance(spec.rule, AllAbove):
            self._counter(NONE)

    def answered(self, scores: npt.NDArray[np.float32], best: str | None) -> Answered:
        """Take note of one image's answer.

        Args:
            scores: `[C] float32`, 0 to 1.
            best: the class that it is answered with first; None if no score reached a threshold.

        Returns:
            It, to be counted, and again if another image is answered with the same.
        """
        return Answered(partial(self._find, scores, best))

    def _find(self, scores: npt.NDArray[np.float32], best: str | None) -> Counted:
        name, found = NONE if best is None else best, entropy(scores)
        best_score = None if found is None else float(np.maximum.reduce(scores))
        observed: tuple[tuple[Histogram, float], ...] = ()
        if found is not None and best_score is not None:
            observed = ((self._best_score, best_score), (self._score_entropy, found))
        compared = None if self._observe is None else self._observe(name, best_score, found)
        return Counted(self._counter(name), observed, compared)

    def _counter(self, name: str) -> Counter:
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = self._new_counter(name[:LONGEST_LABEL])
        return counter

    def _new_counter(self, label: str) -> Counter:
        if label != NONE and label not in self._shown:
            if len(self._shown) >= MOST_CLASSES:
                return self._other
            self._shown.add(label)
        return self._metrics.predictions.labels(self._digest, label)


def entropy(scores: npt.NDArray[np.float32]) -> float | None:
    """Compute how evenly scores are spread: their Shannon entropy as a share of the largest one.

    Scores that do not add up to 1, as those of several labels, are scaled to do so.

    Args:
        scores: `[C] float32`, 0 to 1.

    Returns:
        0 if one class has all, 1 if all are equal; None if there is nothing to share out.
    """
    # numpy's own functions: methods such as `sum` call them through Python.
    total = float(np.add.reduce(scores))
    if not (0 < total < math.inf) or len(scores) < 2:
        return None
    # 0 times a number adds nothing, as it should; picking out the scores above 0 takes longer.
    logarithms = np.maximum(scores, _LEAST)
    np.log(logarithms, out=logarithms)
    nats = math.log(total) - float(scores @ logarithms) / total
    return min(1.0, max(0.0, nats / math.log(len(scores))))
