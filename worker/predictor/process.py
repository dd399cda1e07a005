"""The predictor process; its arguments are OWNER SOCKET MEMORY.

Started by `worker.inference.slot`, with inherited descriptors.

It is a process of its own because Paddle holds the GIL while it computes, which would freeze the
event loop, and because a native crash or an out-of-memory kill must cost one batch, not the worker.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from worker.errors import ModelError, UnfitSystemError
from worker.inference.protocol import (
    Failed,
    Loaded,
    Ran,
    SharedBatch,
    Start,
    read_run,
    read_start,
    to_message,
)
from worker.predictor.backends import own_sentence
from worker.predictor.loading import load_predictor
from worker.predictor.predictor import Predictor
from worker.runtime.children import die_with
from worker.runtime.messages import Channel

__all__ = ["main", "serve"]

LONGEST = 10_000
"""Most characters of an error: a library's may hold the whole of its input."""


def main() -> None:
    """Serve the owner on the inherited descriptors until it closes the socket or dies."""
    owner, socket, memory = (int(argument) for argument in sys.argv[1:4])
    die_with(owner)
    with Channel(socket) as channel, suppress(EOFError):
        # Its end is the owner's, and that of all work.
        serve(channel, memory)


def serve(channel: Channel, memory: int) -> None:
    """Load what `Start` says, then answer `Run` after `Run`.

    Raises:
        EOFError: the owner closed the channel: the regular end.
    """
    start = read_start(channel.receive())
    try:
        predictor = load_predictor(start.spec, start.device, start.threads, start.backend)
    except (ModelError, UnfitSystemError) as error:
        unfit = isinstance(error, UnfitSystemError)
        channel.send(to_message(Failed(str(error)[:LONGEST], unfit)))
        return
    shared = SharedBatch(memory, start.capacity, start.spec.input_size, predictor.classes)
    channel.send(to_message(Loaded(predictor.classes, predictor.backend)))
    while True:
        request = read_run(channel.receive())
        channel.send(to_message(_answer(predictor, shared, request.count, start)))


def _answer(predictor: Predictor, shared: SharedBatch, count: int, start: Start) -> Ran | Failed:
    began = time.perf_counter()
    crops = shared.crops[:count]
    try:
        start.failpoints.before_batch(crops)
        if start.failpoints.instant:
            shared.scores[:count] = 1 / predictor.classes
        else:
            shared.scores[:count] = predictor.scores(crops)
    except Exception as error:  # noqa: BLE001 - any error of a native library fails this batch and no more
        return Failed(f"{type(error).__name__}: {own_sentence(error)}"[:LONGEST])
    return Ran(time.perf_counter() - began)
