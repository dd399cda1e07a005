"""How a model's scores become the categories of an answer: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

__all__ = ["BEST_ONES", "EVERY", "Activation", "AllAbove", "BestAbove", "BestOnes", "Rule"]

Activation = Literal["softmax", "sigmoid"]
"""What makes scores of a network's logits: of classes that exclude each other, or that do not."""

EVERY = 2**31 - 1
"""As many categories as there are."""


@dataclass(frozen=True, slots=True)
class BestOnes:
    """`Topk`: the classes with the highest scores."""

    activation: ClassVar[Activation] = "softmax"


@dataclass(frozen=True, slots=True)
class BestAbove:
    """`ThreshOutput`: one class.

    Of two classes it is the second one if its score reaches the threshold, else the first one, with
    what the second one's score lacks to 1. Of more it is the best one if its score is above the
    threshold, else `otherwise`.
    """

    activation: ClassVar[Activation] = "softmax"

    threshold: float = 0.5
    otherwise: int = 0


@dataclass(frozen=True, slots=True)
class AllAbove:
    """`MultiLabelThreshOutput`: each class whose score reaches its threshold, or none at all.

    Attributes:
        threshold: of the classes that have none of their own.
        thresholds: by class id.
        classes: how many classes there must be; None if that is open.
    """

    activation: ClassVar[Activation] = "sigmoid"

    threshold: float = 0.5
    thresholds: Mapping[int, float] = field(default_factory=dict, hash=False)
    classes: int | None = None


Rule = BestOnes | BestAbove | AllAbove

BEST_ONES = BestOnes()
