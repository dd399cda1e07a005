"""Golden images: what a new model must answer rightly before it serves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from worker.contract.model_changes import CheckFigures
from worker.datasets import Item, open_dataset
from worker.engine.categories import choose_categories
from worker.engine.model_slots import ModelSlots
from worker.engine.serving import ServingModel
from worker.errors import DatasetError, JobError
from worker.wording import first_few

__all__ = ["CheckFailedError", "check_model"]

MOST_NAMED = 3
"""Images and classes that a message names."""


class CheckFailedError(Exception):
    """The model does not answer as it should; the message says how.

    Attributes:
        figures: what it answered; None if the images could not be asked.
    """

    def __init__(self, message: str, figures: CheckFigures | None = None) -> None:
        super().__init__(message)
        self.figures = figures


async def check_model(slots: ModelSlots, data: Path, least: float) -> CheckFigures:
    """Ask a model that does not serve yet, through its own image processes and predictors.

    Images whose split is `train` are left out if there are others.

    Args:
        data: the data set.
        least: share of the images whose best class must be the right one, 0 to 1.

    Returns:
        The figures.

    Raises:
        CheckFailedError: too few are right, or the data set cannot be used.
    """
    stack = ExitStack()
    try:
        # In a thread: it may be an archive, or have thousands of files.
        dataset = await asyncio.to_thread(stack.enter_context, open_dataset(data))
        items = [item for item in dataset.items if item.split != "train"] or list(dataset.items)
        wrong = await _wrong(slots, items)
    except DatasetError as error:
        raise CheckFailedError(f"model_check: {error}") from error
    finally:
        await asyncio.to_thread(stack.close)
    figures = CheckFigures(len(items), len(items) - len(wrong), least)
    if figures.top1 < least:
        raise CheckFailedError(_explain(slots.serving, items, wrong, figures), figures)
    return figures


async def _wrong(slots: ModelSlots, items: Sequence[Item]) -> list[tuple[Item, str]]:
    """The images that are not answered rightly, each with what was answered."""
    # Enough to fill batches; not all, since each holds a file.
    room = asyncio.Semaphore(4 * slots.pool.max_batch)

    async def ask(item: Item) -> str:
        async with room:
            return await _answer(slots.serving, item)

    answers = await asyncio.gather(*map(ask, items))
    asked = zip(items, answers, strict=True)
    return [(item, answer) for item, answer in asked if answer != item.label]


async def _answer(model: ServingModel, item: Item) -> str:
    try:
        scores = await model.scores(item.path, time.time())
    except JobError as error:
        return f"nothing, since {error}"
    categories = choose_categories(scores, 1, model.spec)
    return categories[0].name if categories else "nothing"


def _explain(
    model: ServingModel, items: Sequence[Item], wrong: Sequence[tuple[Item, str]], of: CheckFigures
) -> str:
    said = f"{of.right} of {of.images} golden images are right, {of.top1:.1%}, where "
    said += f"model_check_top1 wants {of.least:.1%}"
    unknown = sorted({item.label for item in items} - set(model.spec.labels))
    if unknown:
        some = first_few(unknown, MOST_NAMED)
        return f"{said}: the model has no class {some}; add the images of its own classes"
    shown = (f"{item.name} is {item.label}, answered {answer}" for item, answer in wrong)
    return f"{said}: {'; '.join(list(shown)[:MOST_NAMED])}"
