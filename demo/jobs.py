"""Submits the demo's jobs as `classify-worker submit` would, behind a progress bar."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from rich.console import Console

from demo.expectations import Expectation
from worker.cli.report import progress_bar
from worker.settings import Settings
from worker.submit import Item, ItemResult, Options, Submission
from worker.submit.saving import DirectorySaver

__all__ = ["submit_all"]

JOB_SECONDS = 60.0


def submit_all(
    expected: Sequence[Expectation], settings: Settings, pictures: Path, console: Console
) -> tuple[list[ItemResult], float]:
    """Submit all jobs, and wait for their answers.

    Args:
        settings: of the worker that answers.
        pictures: directory that gets the results' pictures.

    Returns:
        The answers in the order of `expected`, and the seconds from the first job to the last one.

    Raises:
        WorkerError: Kafka cannot be used, or a picture not be saved.
    """
    answers: list[ItemResult] = []
    times: list[float] = []
    progress = progress_bar(console, "answered")
    task = progress.add_task("", total=len(expected))

    def taken(_: Item) -> None:
        times.append(time.monotonic())

    def answered(answer: ItemResult) -> None:
        times.append(time.monotonic())
        answers.append(answer)
        progress.advance(task)

    options = Options(timeout=JOB_SECONDS, saver=DirectorySaver(pictures))
    submission = Submission(settings, options, taken, answered)
    with progress:
        asyncio.run(submission.run(_each(expected)))
    answers.sort(key=lambda answer: answer.number)
    return answers, times[-1] - times[0]


async def _each(expected: Sequence[Expectation]) -> AsyncIterator[Item]:
    for each in expected:
        yield each.item
