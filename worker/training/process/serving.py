"""How a process of a training answers its owner: requests and answers are JSON over a socket."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from worker.errors import ModelError, UnfitSystemError, WorkerError
from worker.predictor.backends import own_sentence
from worker.runtime.children import die_with
from worker.runtime.messages import Channel

__all__ = ["Owner", "serve"]

LONGEST = 10_000
"""Most characters of an error: a library's may hold the whole of its input."""

Request = Mapping[str, Any]


class Owner:
    """The process that asks.

    Attributes:
        descriptor: of the file that both share.
    """

    def __init__(self, channel: Channel, descriptor: int) -> None:
        self._channel = channel
        self.descriptor = descriptor

    def say(self, **facts: object) -> None:
        """Tell of the progress, or answer."""
        self._channel.send({"is": "progress", **facts})

    def stopping(self) -> bool:
        """Look whether the owner wants this to stop.

        Raises:
            EOFError: the owner has gone.
        """
        if not self._channel.heard(0):
            return False
        return bool(self._channel.receive()["do"] == "stop")


def serve(answer: Callable[[Request, Owner], Mapping[str, object]]) -> None:
    """Answer requests on the inherited descriptors until the owner closes the socket or dies.

    Args:
        answer: what answers; an error that it raises is told to the owner, and ends this.
    """
    owner, socket, descriptor = (int(argument) for argument in sys.argv[1:4])
    die_with(owner)
    with Channel(socket) as channel, suppress(EOFError):
        peer = Owner(channel, descriptor)
        while True:
            request = channel.receive()
            try:
                channel.send(answer(request, peer))
            except EOFError:
                raise
            except Exception as error:  # noqa: BLE001 - native libraries raise what they like
                channel.send({"is": "failed", **_describe(error)})
                return


def _describe(error: Exception) -> dict[str, str]:
    match error:
        case ModelError():
            return {"kind": "model", "message": str(error)[:LONGEST]}
        case UnfitSystemError():
            return {"kind": "unfit", "message": str(error)[:LONGEST]}
        case WorkerError():
            return {"kind": "training", "message": str(error)[:LONGEST]}
        case MemoryError():
            message = "there is not enough memory: use a smaller --batch-size"
            return {"kind": "training", "message": message}
        case _:
            message = f"{type(error).__name__}: {own_sentence(error)}"[:LONGEST]
            return {"kind": "training", "message": message}
