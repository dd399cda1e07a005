"""The predictor process; its arguments are OWNER SOCKET MEMORY.

Started by `worker.inference.slot`, with inherited descriptors.

It is a process of its own because Paddle holds the GIL while it computes, which would freeze the
event loop, and because a native crash or an out-of-memory kill must cost one batch, not the worker.
"""

from __future__ import annotations

import sys
import time
from multiprocessing.connection import Connection

from worker.errors import ModelError, UnfitSystemError
from worker.inference.protocol import Loaded, Ran, Run, SharedBatch, Start
from worker.predictor.backends import own_sentence
from worker.predictor.loading import load_predictor
from worker.predictor.predictor import Predictor
from worker.runtime.children import die_with

__all__ = ["main", "serve"]


def main() -> None:
    """Serve the owner on the inherited descriptors until it closes the socket or dies."""
    owner, socket, memory = (int(argument) for argument in sys.argv[1:4])
    die_with(owner)
    with Connection(socket) as connection:
        try:
            serve(connection, memory)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            # The owner is gone, and with it all work.
            return


def serve(connection: Connection, memory: int) -> None:
    """Load what `Start` says, then answer `Run` after `Run`.

    Raises:
        EOFError: the owner closed the connection: the regular end.
    """
    start: Start = connection.recv()
    try:
        predictor = load_predictor(start.spec, start.device, start.threads, start.backend)
    except UnfitSystemError as error:
        connection.send(error)
        return
    except ModelError as error:
        connection.send(str(error))
        return
    shared = SharedBatch(memory, start.capacity, start.spec.input_size, predictor.classes)
    connection.send(Loaded(predictor.classes, predictor.backend))
    while True:
        request: Run = connection.recv()
        connection.send(_answer(predictor, shared, request.count, start))


def _answer(predictor: Predictor, shared: SharedBatch, count: int, start: Start) -> Ran | str:
    began = time.perf_counter()
    crops = shared.crops[:count]
    try:
        start.failpoints.before_batch(crops)
        shared.scores[:count] = predictor.scores(crops)
    except Exception as error:  # noqa: BLE001 - any error of a native library fails this batch and no more
        return f"{type(error).__name__}: {own_sentence(error)}"
    return Ran(time.perf_counter() - began)
