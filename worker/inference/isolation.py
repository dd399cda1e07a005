"""Finding the image that breaks the predictor: run again, then halve. Pure control flow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from worker.errors import PredictorError

__all__ = ["Poisoned", "run_isolated"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Poisoned:
    """An item that failed alone.

    Attributes:
        error: what its last run raised.
        attempts: how many runs that held it failed.
    """

    error: PredictorError
    attempts: int


async def run_isolated(
    run: Callable[[Sequence[T]], Awaitable[Sequence[R]]], items: Sequence[T]
) -> list[R | Poisoned]:
    """Get an answer for each item, even if some of them break the predictor.

    A failed batch is tried once more as a whole, since a crash need not be any image's fault; when
    it fails again its halves are run, each once, down to single items. An item that fails alone is
    `Poisoned`; all others get their answers.

    Args:
        run: answers all items or raises `PredictorError`; it brings the predictor up again by
            itself.

    Returns:
        For each item its answer, or `Poisoned`, in the order of `items`.

    Raises:
        Exception: whatever else `run` raises.
    """
    first = await _attempt(run, items)
    if not isinstance(first, PredictorError):
        return list(first)
    return await _halve(run, items, failed=1)


async def _halve(
    run: Callable[[Sequence[T]], Awaitable[Sequence[R]]], items: Sequence[T], failed: int
) -> list[R | Poisoned]:
    answers = await _attempt(run, items)
    if not isinstance(answers, PredictorError):
        return list(answers)
    failed += 1
    if len(items) == 1:
        return [Poisoned(answers, failed)]
    middle = len(items) // 2
    left = await _halve(run, items[:middle], failed)
    return left + await _halve(run, items[middle:], failed)


async def _attempt(
    run: Callable[[Sequence[T]], Awaitable[Sequence[R]]], items: Sequence[T]
) -> Sequence[R] | PredictorError:
    try:
        answers = await run(items)
    except PredictorError as error:
        return error
    if len(answers) != len(items):
        raise AssertionError(f"{len(answers)} answers for {len(items)} items")
    return answers
