"""What an image process may answer to a call, and the errors that it answers with. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from worker.errors import JobError, Stage
from worker.imaging.call import Call, DiedError
from worker.imaging.process import LARGE
from worker.imaging.protocol import (
    Accounted,
    Drawn,
    LimitReached,
    NonsenseError,
    Prepared,
    Raised,
    Refused,
    Reply,
    Shortage,
    Skipped,
)

__all__ = ["check_reply", "error_of"]

MOST_TOLD = 2
"""How often a call may say what decoding takes."""


def check_reply(reply: Reply, call: Call, pictures: Mapping[int, int], max_pixels: int) -> None:
    """Refuse what cannot be: a process that was taken over must not cost the worker memory.

    Args:
        pictures: bytes of each picture that the process holds, by the number of its call.
        max_pixels: of an image.

    Raises:
        NonsenseError: it is no answer to this call.
    """
    decodes = call.stage is Stage.DECODE
    side = call.message.get("side")
    match reply:
        case Accounted(nbytes):
            # Twice what `worker.images.limits` accepts.
            most = 32 * max_pixels + 2**28
            right = decodes and call.told < MOST_TOLD and nbytes <= most
        case Prepared((height, width)):
            right = decodes and side is not None and max(height, width) <= side
            right = right and height * width <= max_pixels
        case Prepared(None):
            # Pixels that came from here do not come back.
            right = decodes and (side is None or call.message["form"] == "pixels")
        case Drawn() if not call.wanted:
            # Its picture may have been forgotten here meanwhile, and nothing is fetched.
            right = not decodes
        case Drawn(length):
            pixels = pictures.get(call.message["picture"], 0) if not decodes else 0
            right = not decodes and length <= 2 * pixels + LARGE
        case _:
            right = True
    if not right:
        raise NonsenseError("a result that is none of this call")


def error_of(reply: Reply) -> Exception | None:
    """Make the error that a call ends with.

    Args:
        reply: no result.

    Returns:
        It; None if nobody is to hear of it.
    """
    match reply:
        case Refused(reason, message, stage):
            return JobError(reason, message, stage=stage)
        case Shortage():
            return MemoryError()
        case LimitReached():
            return DiedError("memory")
        case Skipped():
            return None
        case Raised(name):
            return RuntimeError(f"an image process raised {name}")
        case other:
            raise AssertionError(other)
