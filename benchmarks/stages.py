"""Codecs and predictors in processes of their own, told how many images there are, given none."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from worker.bench import bare, chain, codec

__all__ = ["StagePlan", "Stages"]


@dataclass(frozen=True, slots=True)
class StagePlan:
    """Which processes there are.

    Attributes:
        model: its directory.
        images: files that codecs work on in turn.
        pictures: whether codecs draw and encode too.
        codecs: processes of one thread.
        predictors: processes.
        threads: CPU threads of each predictor.
        batch: images that a predictor computes at once, if there are so many.
        least: images that it waits for.
    """

    model: str
    images: tuple[str, ...]
    pictures: bool
    backend: str
    codecs: int
    predictors: int
    threads: int
    batch: int
    least: int

    def as_json(self) -> dict[str, Any]:
        """Write it, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what `as_json` wrote.

        Returns:
            The plan.
        """
        return cls(**{**written, "images": tuple(written["images"])})


class Stages:
    """The running processes; for one event loop.

    Args:
        begun: counter of images for the first stage.
        done: counter of images that have been through the last one.

    Attributes:
        finished: images that have been through, and were not waited for.
    """

    def __init__(self, begun: int, done: int) -> None:
        self._begun, self._done = begun, done
        self.finished = 0
        self._listens = False
        # Who waits for how many images more, the first one first.
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @classmethod
    def start(cls, plan: StagePlan, stack: ExitStack) -> Self:
        """Start them.

        Args:
            stack: ends them.

        Returns:
            The stages, all processes being ready.

        Raises:
            WorkerError: one cannot be started.
        """
        begun, decoded, done = chain.new_counter(), chain.new_counter(), chain.new_total()
        for counter in (begun, decoded, done):
            stack.callback(os.close, counter)
        model, images = Path(plan.model), [Path(each) for each in plan.images]
        for _ in range(plan.codecs):
            child = stack.enter_context(codec.start(model, images, (begun, decoded)))
            child.answer()
            child.ask(pictures=plan.pictures, **chain.chained(begun, decoded))
        for _ in range(plan.predictors):
            predictor = bare.start(model, plan.backend, plan.threads, (decoded, done))
            child = stack.enter_context(predictor)
            child.answer()
            chained = chain.chained(decoded, done, plan.least, plan.batch)
            child.ask(batch=plan.batch, **chained)
        return cls(begun, done)

    def begin(self, images: int) -> None:
        """Let codecs go on with so many images more."""
        if images:
            chain.give(self._begun, images)

    async def wait(self, images: int) -> None:
        """Wait until so many images more have been through all stages; first come, first served."""
        loop = asyncio.get_running_loop()
        if not self._listens:
            loop.add_reader(self._done, self._count)
            self._listens = True
        done = loop.create_future()
        self._waiting.append((images, done))
        self._serve()
        await done

    def _count(self) -> None:
        self.finished += os.eventfd_read(self._done)
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            images, done = self._waiting[0]
            # One that has given up leaves its images to others.
            if not done.done():
                if images > self.finished:
                    return
                self.finished -= images
                done.set_result(None)
            self._waiting.popleft()
