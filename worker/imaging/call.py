"""One call of an image process, from its being wanted to its answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from worker.contract.jobs import EncodedImage, RawImage
from worker.errors import JobError, Reason, Stage
from worker.imaging.protocol import LocalImage

__all__ = [
    "Call",
    "Content",
    "DiedError",
    "Form",
    "LostError",
    "OrphanedError",
    "describe",
    "encode",
]

MAX_PATH = 8 * 1024
"""Bytes of a file's name; no system takes so many, and a message has room for them."""

Content: TypeAlias = str | bytes | memoryview
"""What goes into the lane's file; text is encoded only when it does, to be held once until then."""

Form: TypeAlias = tuple[dict[str, Any], Content]
"""What a call says of its image, and what goes into the lane's file."""


class DiedError(Exception):
    """The process ended in this call, or would not have ended it.

    Attributes:
        cause: `crash`, `killed`, `cpu`, `timeout`, `memory`, or `parent`: with all others, since
            the process that forks them was lost.
        how: for messages: `signal 11`.
    """

    def __init__(self, cause: str, how: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.how = how


class LostError(Exception):
    """The process that held the picture has ended in another call."""


class OrphanedError(LostError):
    """All processes were lost, with the one that forks them.

    Attributes:
        begun: whether a process had begun the call, so that it may be the cause.
    """

    def __init__(self, *, begun: bool) -> None:
        super().__init__()
        self.begun = begun


@dataclass(slots=True, eq=False)
class Call:
    """One call.

    Attributes:
        number: its name, unique in its pool, above 0.
        stage: whose work it is.
        message: what the process is told.
        content: what goes into the lane's file.
        urgency: the smaller, the sooner.
        answer: resolves to the process that has decoded the image, the call that it did (this one,
            or one in its place) and the whole image; or to a JPEG. None once it has been had.
        account: is told the bytes that decoding is about to take.
        needs_cell: whether it makes a crop.
        picture_bytes: those of a picture that it will leave in the process, as far as is known.
        alone: whether it must have a process of its own.
        sole: whether it is to be tried while no process has another call.
        lane: of the process that has it.
        cell: where its crop goes.
        withdrawn: whether nobody waits for it any more.
        told: how often `account` was called since a process got it.
        lost: how many processes ended with it as their first call, and said that they were in none.
    """

    number: int
    stage: Stage
    message: dict[str, Any]
    content: Content
    urgency: float
    answer: asyncio.Future[Any] | None = field(repr=False)
    account: Callable[[int], object] = lambda _: None
    needs_cell: bool = False
    alone: bool = False
    sole: bool = False
    lane: int = -1
    cell: int | None = None
    withdrawn: bool = False
    told: int = 0
    lost: int = 0

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for its answer."""
        return not self.withdrawn and self.answer is not None and not self.answer.done()

    def settle(self, result: object = None, error: BaseException | None = None) -> None:
        """Answer the caller, if there still is one."""
        if self.answer is None or self.answer.done():
            return
        if error is None:
            self.answer.set_result(result)
        else:
            self.answer.set_exception(error)


def encode(text: str) -> bytes:
    """Write text as it goes into a lane's file; what is no Base64 may hold any character.

    Returns:
        UTF-8, with lone surrogates as they are.
    """
    return text.encode("utf-8", "surrogatepass")


def describe(image: LocalImage) -> Form:
    """Say what an image is.

    Returns:
        What a call says of it, and its bytes. Those of a path are read by the image process.

    Raises:
        JobError: no file can have this name.
    """
    match image:
        case Path():
            name = os.fsencode(image)
            if len(name) > MAX_PATH:
                raise JobError(Reason.NOT_FOUND, "no file can have this name: it is too long")
            # Names need not be Unicode, and messages must.
            return {"form": "bytes", "path": name.decode("latin-1")}, b""
        case EncodedImage(text):
            length = len(text) if text.isascii() else len(encode(text))
            return {"form": "text", "path": None, "length": length}, text
        case RawImage(data):
            return {"form": "bytes", "path": None, "length": len(data)}, data
        case bgr:
            content = np.ascontiguousarray(bgr).reshape(-1).data
            shape = list(bgr.shape[:2])
            return (
                {"form": "pixels", "path": None, "length": len(content), "shape": shape},
                content,
            )
