"""What an image process, its owner and the process that forks it say to each other.

Messages are JSON over a socket pair, each behind its length; bytes and pixels cross in anonymous
files. An image process may have been taken over by the image in it. So its owner runs nothing that
it says, maps nothing that it can shorten, and checks each message.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import orjson

from worker.contract.jobs import EncodedImage, RawImage
from worker.errors import Reason, Stage
from worker.failpoints import Failpoints
from worker.model.transforms import CenterCrop, Channels, Resize

__all__ = [
    "LANES",
    "MAX_MESSAGE",
    "Accounted",
    "Drawn",
    "Frames",
    "LimitReached",
    "LocalImage",
    "NonsenseError",
    "Pixels",
    "Prepared",
    "Raised",
    "Refused",
    "Reply",
    "Setup",
    "Shortage",
    "Skipped",
    "Up",
    "frame",
    "parse_reply",
]

Pixels = npt.NDArray[np.uint8]
"""`[H, W, 3] uint8` BGR, which no other code writes into."""

LocalImage: TypeAlias = EncodedImage | RawImage | Path | Pixels
"""An image that need not be fetched. Paths and pixels come from callers in Python alone."""

LANES = 2
"""Calls that a process may have: one that runs, and one behind it, so that it is never idle."""

MAX_MESSAGE = 64 * 1024
"""Bytes of a message. Only paths and error messages are longer than some hundred."""

MAX_TEXT = 4096
"""Characters of an error message."""

_LENGTH = struct.Struct("<I")


class NonsenseError(ValueError):
    """The other side says what it never says by itself: it may have been taken over."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What all image processes of one engine have in common.

    Attributes:
        resize: how to scale for the model, or None.
        crop: what to cut out of the centre, or None.
        channels: their order in a crop.
        max_bytes: of an encoded image.
        max_pixels: of an image.
        max_side: of an image, in pixels.
        memory: most bytes of address space of a process.
        cpu_seconds: most processor time of a call.
        failpoints: faults to inject, for tests.
    """

    resize: Resize | None
    crop: CenterCrop | None
    channels: Channels
    max_bytes: int
    max_pixels: int
    max_side: int
    memory: int
    cpu_seconds: int
    failpoints: Failpoints

    def to_dict(self) -> dict[str, Any]:
        """Convert it to what JSON has.

        Returns:
            What `from_dict` reads.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Setup:
        """Read what `to_dict` has written.

        Returns:
            The setup.
        """
        resize, crop, faults = plain["resize"], plain["crop"], plain["failpoints"]
        if resize is not None:
            size = resize["size"]
            resize = Resize(**{**resize, "size": None if size is None else tuple(size)})
        actions = tuple((tuple(colour), action) for colour, action in faults["actions"])
        return cls(
            **{
                **plain,
                "resize": resize,
                "crop": None if crop is None else CenterCrop(**crop),
                "failpoints": Failpoints(actions, faults["slow"], faults["instant"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Up:
    """The process is ready for its first call: how it ends from now on is no fault of its start."""


@dataclass(frozen=True, slots=True)
class Accounted:
    """Decoding is about to take so many bytes; the call goes on."""

    nbytes: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """The crop is in its cell.

    Attributes:
        picture: height and width in pixels of the picture that is kept, or was written into the
            lane's file; None if none was asked for.
    """

    picture: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """The picture is in the lane's file, so many bytes of JPEG."""

    length: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The image cannot be used: a `JobError`."""

    reason: Reason
    message: str
    stage: Stage | None


@dataclass(frozen=True, slots=True)
class Shortage:
    """The system has no memory left; the image is not at fault."""


@dataclass(frozen=True, slots=True)
class LimitReached:
    """The process has reached its own limit of memory."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """The call had been withdrawn before it began."""


@dataclass(frozen=True, slots=True)
class Raised:
    """A defect: the error's type."""

    error: str


Reply: TypeAlias = (
    Up | Accounted | Prepared | Drawn | Refused | Shortage | LimitReached | Skipped | Raised
)


def frame(message: Mapping[str, object]) -> bytes:
    """Write a message.

    Returns:
        Its bytes, behind their length.
    """
    body = orjson.dumps(message)
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Takes a stream of bytes apart into messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """Take in what has come.

        Yields:
            Each message that is complete.

        Raises:
            NonsenseError: it is longer than messages are, or no JSON object.
        """
        self._held += chunk
        while len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            if length > MAX_MESSAGE:
                raise NonsenseError(f"a message of {length} bytes")
            end = _LENGTH.size + length
            if len(self._held) < end:
                return
            body = bytes(self._held[_LENGTH.size : end])
            del self._held[:end]
            try:
                message = orjson.loads(body)
            except orjson.JSONDecodeError as error:
                raise NonsenseError("a message that is no JSON") from error
            if not isinstance(message, dict):
                raise NonsenseError("a message that is no object")
            yield message


def parse_reply(message: Mapping[str, Any], most_side: int, most_bytes: int) -> tuple[int, Reply]:
    """Check what an image process says.

    Args:
        most_side: longest side in pixels that a picture can have.
        most_bytes: longest file that it can write.

    Returns:
        The call's number, 0 for none, and what has become of it.

    Raises:
        NonsenseError: no image process says that.
    """
    call = _number(message.get("call"), 2**63)
    reply: Reply
    match message.get("is"):
        case "up":
            reply = Up()
        case "accounted":
            reply = Accounted(_number(message.get("nbytes"), 2**48))
        case "prepared":
            reply = Prepared(_size(message.get("picture"), most_side))
        case "drawn":
            reply = Drawn(_number(message.get("length"), most_bytes))
        case "refused":
            reply = _refusal(message)
        case "shortage":
            reply = Shortage()
        case "limit":
            reply = LimitReached()
        case "skipped":
            reply = Skipped()
        case "raised":
            reply = Raised(_text(message.get("error")))
        case other:
            raise NonsenseError(f"a message {str(other)[:40]!r}")
    return call, reply


def _number(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise NonsenseError(f"{str(value)[:40]!r} where a number is due")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise NonsenseError("no text where one is due")
    return value


def _size(value: object, most: int) -> tuple[int, int] | None:
    match value:
        case None:
            return None
        case [height, width]:
            size = _number(height, most), _number(width, most)
            if math.prod(size):
                return size
    raise NonsenseError("a picture without a size")


def _refusal(message: Mapping[str, Any]) -> Refused:
    label, stage = message.get("reason"), message.get("stage")
    reason = next((reason for reason in Reason if reason.label == label), None)
    if reason is None or (stage is not None and stage not in list(Stage)):
        raise NonsenseError("a reason that is none")
    return Refused(reason, _text(message.get("message")), None if stage is None else Stage(stage))
