"""Preparing and drawing images in image processes, whatever becomes of these meanwhile.

An image whose process dies is tried once more, in a process of its own. If that dies too, the image
is refused. If all processes are lost, with the one that forks them, images that were in hand each
time are tried one after the other while no other is, so that the one to blame is found. A picture
is kept by the process that decoded it until its label is known; if that process is gone by then,
the image is decoded once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import JobError, Reason, Stage
from worker.failpoints import Failpoints
from worker.imaging.call import Call, Content, DiedError, LostError, OrphanedError, describe
from worker.imaging.crops import CropCells
from worker.imaging.nursery import Nursery
from worker.imaging.pool import MOST_ALONE, ProcessPool
from worker.imaging.prepared import Picture, PreparedImage
from worker.imaging.process import ImageProcess
from worker.imaging.protocol import LANES, LocalImage, Pixels, Setup
from worker.imaging.refusals import refusal
from worker.imaging.slow_calls import MOST_ASIDE
from worker.imaging.sole import Losses
from worker.metrics import Metrics
from worker.model.transforms import CenterCrop, Channels, Resize, check_crop
from worker.retry import SHORTAGES, Retry
from worker.settings import DecodeSettings

__all__ = ["Geometry", "ImageProcesses"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MOST_LOST = 10
"""How often a picture may be lost while it waits to be drawn, before it has the blame itself."""

MAX_LABEL = 1024
"""Characters of a label that are handed on, more than are drawn; a message has room for them."""

FIRST = 0.0
"""The urgency of what makes up for a picture that was lost."""


class Geometry(Protocol):
    """What image processes need to know of a model; a `ModelSpec` has it."""

    @property
    def resize(self) -> Resize | None:
        """How to scale, or None."""
        ...

    @property
    def crop(self) -> CenterCrop | None:
        """What to cut out of the centre, or None."""
        ...

    @property
    def channels(self) -> Channels:
        """Their order in a crop."""
        ...

    @property
    def input_size(self) -> tuple[int, int]:
        """`(height, width)` of a crop in pixels."""
        ...


class ImageProcesses:
    """Image processes for one model; for one event loop.

    Args:
        spec: what a crop is.
        count: processes that take calls.
        cells: most crops at a time, those that are being made included, but for those of images
            that take long.
        nursery: forks the processes; started here if it was not before.
        retry: of a call for which the system had no memory.

    Attributes:
        cells: the crops.

    Raises:
        ModelError: the model's crop is larger than any image that it is cut out of.
    """

    def __init__(  # noqa: PLR0913 - all that images have to do with meets here
        self,
        spec: Geometry,
        count: int,
        cells: int,
        limits: DecodeSettings,
        metrics: Metrics,
        failpoints: Failpoints,
        *,
        nursery: Nursery | None = None,
        retry: Retry = SHORTAGES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_crop(spec.resize, spec.crop)
        self._limits = limits
        self._metrics = metrics
        self._retry = retry
        self._clock = clock
        spare = count * (MOST_ASIDE * LANES + MOST_ALONE)
        self.cells = CropCells(cells, spec.input_size, spare)
        setup = Setup(
            resize=spec.resize,
            crop=spec.crop,
            channels=spec.channels,
            max_bytes=limits.max_bytes,
            max_pixels=limits.max_pixels,
            max_side=limits.max_side,
            memory=limits.memory,
            cpu_seconds=limits.cpu_seconds,
            failpoints=failpoints,
        )
        self._pool = ProcessPool(
            count, setup, self.cells, limits.timeout, metrics, nursery=nursery, clock=clock
        )
        self.show = self._pool.show
        self.stop = self._pool.stop

    async def start(self) -> None:
        """Start the processes.

        Raises:
            UnfitSystemError: the system lacks a library that a codec needs.
            OSError: the system has no room for another process, or for the crops.
        """
        self.cells.open()
        await self._pool.start()

    @property
    def stalled(self) -> bool:
        """Whether no image process could be had for a while."""
        return self._pool.stalled

    @property
    def busy(self) -> int:
        """How many processes decode or draw an image now."""
        return self._pool.busy

    @property
    def pids(self) -> list[int]:
        """The processes that are up, the one that forks them first."""
        return self._pool.pids

    async def prepare(
        self,
        image: LocalImage,
        urgency: float,
        side: int | None,
        account: Callable[[int], object] = lambda _: None,
        *,
        quality: int | None = None,
        whole: bool = False,
    ) -> PreparedImage:
        """Decode an image and transform it for the model; cancelling withdraws it.

        Args:
            urgency: the smaller, the sooner.
            side: longest side in pixels of the picture that is kept to be drawn on; None for none.
            account: is told the bytes that decoding is about to take, and what it then took less.
            quality: with which its picture will be drawn, if most of it may be encoded before that
                while few images are under way; None leaves all until it is drawn.
            whole: whether the whole image is brought here, in its own size, in place of a picture.

        Returns:
            The crop and, if asked for, the picture or the image; to be released in the end.

        Raises:
            JobError: the image cannot be used; the message says why.
        """
        once = partial(
            self._prepare_once, image, urgency, side, account, quality=quality, whole=whole
        )
        return await self._at_most_twice(Stage.DECODE, once)

    async def draw(
        self, picture: Picture, label: str | None, score: float, quality: int
    ) -> bytes | bytearray:
        """Draw the label on a picture, which is gone afterwards; cancelling withdraws it.

        Args:
            label: None if there is none; then nothing is drawn.
            score: 0 to 1.
            quality: of the JPEG, 1 to 100.

        Returns:
            A JPEG.

        Raises:
            JobError: it cannot be drawn; the message says why.
        """

        async def once(*, alone: bool) -> bytes | bytearray:
            if alone:
                await self._restore(picture, alone=True)
            losses, lost = Losses(), 0
            while lost < MOST_LOST:
                try:
                    return await self._draw_once(picture, label, score, quality, sole=losses.sole)
                except OrphanedError as error:
                    if error.begun:
                        losses.note()
                except LostError:
                    lost += 1
                await self._restore(picture, alone=False)
            # A process that ends when it draws could hide it, and be had again without end.
            raise DiedError("crash", "its process ended each time")

        return await self._at_most_twice(Stage.DRAW, once)

    def release(self, prepared: PreparedImage) -> None:
        """Give back what an image holds: its crop's memory, and its picture; once only."""
        self.release_crop(prepared)
        if prepared.picture is not None:
            self._pool.drop(prepared.picture.process, prepared.picture.number)

    def release_crop(self, prepared: PreparedImage) -> None:
        """Give back a crop's memory: from now on it may hold another one."""
        if prepared.cell is not None:
            self._pool.free(prepared.cell)
            prepared.cell = None

    async def _prepare_once(
        self,
        image: LocalImage,
        urgency: float,
        side: int | None,
        account: Callable[[int], object],
        *,
        quality: int | None,
        whole: bool,
        alone: bool,
    ) -> PreparedImage:
        told: list[int] = []

        def tell(nbytes: int) -> None:
            told.append(nbytes)
            account(nbytes)

        def take_back() -> None:
            while told:
                account(-told.pop())

        def make() -> Call:
            take_back()
            call = self._decoding(image, urgency, side, quality, whole=whole, alone=alone)
            call.account, call.needs_cell = tell, True
            return call

        try:
            process, call, result = await self._patiently(make)
        finally:
            take_back()
        assert call.cell is not None
        prepared = PreparedImage(self.cells.view(call.cell), call.cell)
        if whole:
            # Pixels that came from here need not come back.
            prepared.pixels = image if isinstance(image, np.ndarray) else _pixels(*result)
        elif call.number in process.pictures:
            nbytes = process.pictures[call.number]
            prepared.picture = Picture(image, side or 0, process, call.number, nbytes)
        # Pixels that came from here are the caller's, who has counted them.
        account(prepared.crop.nbytes if prepared.pixels is image else prepared.nbytes)
        return prepared

    async def _restore(self, picture: Picture, *, alone: bool) -> None:
        """Have a picture again."""
        self._pool.drop(picture.process, picture.number)

        async def once(*, alone: bool) -> None:
            # Not encoded before it is drawn: if that ended its process, no call would be blamed.
            make = partial(
                self._decoding, picture.image, FIRST, picture.side, None, whole=False, alone=alone
            )
            picture.process, call, _ = await self._patiently(make)
            picture.number = call.number

        if alone:
            await once(alone=True)
        else:
            await self._at_most_twice(Stage.DECODE, once)

    async def _draw_once(
        self, picture: Picture, label: str | None, score: float, quality: int, *, sole: bool
    ) -> bytes | bytearray:
        message = {
            "do": "draw",
            "picture": picture.number,
            "label": None if label is None else label[:MAX_LABEL],
            "score": score,
            "quality": quality,
        }

        def make() -> Call:
            call = self._call(Stage.DRAW, message, b"", FIRST)
            call.sole = sole
            return call

        jpeg: bytearray
        jpeg = await self._patiently(make, picture.process)
        return jpeg

    def _decoding(
        self,
        image: LocalImage,
        urgency: float,
        side: int | None,
        early: int | None,
        *,
        whole: bool,
        alone: bool,
    ) -> Call:
        facts, content = describe(image)
        side = self._limits.max_side if whole else side
        message = {"do": "prepare", "side": side, "early": early, "whole": whole, **facts}
        call = self._call(Stage.DECODE, message, content, urgency)
        call.alone = alone
        return call

    def _call(
        self, stage: Stage, message: dict[str, Any], content: Content, urgency: float
    ) -> Call:
        answer = asyncio.get_running_loop().create_future()
        return Call(self._pool.number(), stage, message, content, urgency, answer)

    async def _patiently(self, make: Callable[[], Call], holder: ImageProcess | None = None) -> Any:  # noqa: ANN401 - as Call.answer
        """Make a call, and again after a pause while the system has no memory for it."""
        pauses, attempt = self._retry.pauses(self._clock), 0
        losses = Losses()
        while True:
            attempt += 1
            call = make()
            call.sole = call.sole or losses.sole
            try:
                return await self._pool.ask(call, holder)
            except MemoryError:
                pass
            except OrphanedError as error:
                if holder is not None:
                    raise
                if error.begun:
                    losses.note()
                attempt -= 1
                continue
            self._metrics.memory_shortages.labels(call.stage).inc()
            if (pause := next(pauses, None)) is None:
                raise JobError(
                    Reason.UNAVAILABLE,
                    "the worker has no memory left for this image; try again later",
                    transient=True,
                    attempts=attempt,
                    stage=call.stage,
                )
            await self._clock.sleep(pause)

    async def _at_most_twice(self, stage: Stage, once: _Once[T]) -> T:
        try:
            return await once(alone=False)
        except DiedError as error:
            # Processor time is its own whatever else goes on, and what ends the process that forks
            # was the only call: trying again would change nothing.
            if error.cause in ("cpu", "parent"):
                raise refusal(stage, error, 1, self._limits) from None
        try:
            return await once(alone=True)
        except DiedError as error:
            raise refusal(stage, error, 2, self._limits) from None


class _Once(Protocol[T_co]):
    """One attempt."""

    def __call__(self, *, alone: bool) -> Awaitable[T_co]: ...


def _pixels(data: bytearray, shape: tuple[int, int]) -> Pixels:
    return np.frombuffer(data, np.uint8).reshape(*shape, 3)
