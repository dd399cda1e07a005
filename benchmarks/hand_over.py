"""Codecs and predictors in processes of their own, to which each image is handed over.

What a program costs at least in which an image may end the process that works on it. It repeats
and measures nothing, and checks no more than its codecs and predictors do.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

from benchmarks.hand_over_process import DECODE, DRAW, LONGEST, READY, SPACE, TASK, answered
from benchmarks.stages import StagePlan
from worker.model import load_model_spec
from worker.runtime.processes import anonymous_file

__all__ = ["LANES", "HandOver"]

LANES = 2
"""Images that a codec decodes and has waiting, so that it is never idle."""

PROCESS = "benchmarks.hand_over_process"


class HandOver:
    """The running processes; for one event loop. If one ends, this program does.

    Args:
        plan: which there are; its images are not used, since images come from outside.
        stack: ends them.

    Raises:
        ChildProcessError: one does not begin; it has said why on standard error.
    """

    def __init__(self, plan: StagePlan, stack: ExitStack) -> None:
        self._plan = plan
        # As many as can be decoded, computed and drawn at a time.
        cells = 2 * (plan.predictors + 1) * plan.batch + LANES * plan.codecs
        self._memory, self._crops = anonymous_file(), anonymous_file()
        for file in (self._memory, self._crops):
            stack.callback(os.close, file)
        size = math.prod((*load_model_spec(Path(plan.model)).input_size, 3))
        os.ftruncate(self._crops, cells * size)
        self._codecs = [self._start("codec", stack) for _ in range(plan.codecs)]
        self._predictors = [self._start("predictor", stack) for _ in range(plan.predictors)]
        self._lanes = [LANES] * plan.codecs
        self._idle = list(self._predictors)
        self._free = list(range(cells))
        # Each with what resolves to its picture.
        self._waiting: deque[tuple[bytes, asyncio.Future[bytes | None]]] = deque()
        self._decoded: deque[int] = deque()
        # Of each cell that is in use: who gets its picture, and the codec that has it.
        self._taken: dict[int, tuple[asyncio.Future[bytes | None], int]] = {}
        self._listens = False

    def submit(self, image: bytes) -> asyncio.Future[bytes | None]:
        """Have an image decoded, computed and, if the plan says so, drawn on.

        Returns:
            Resolves to its picture, if there is to be one.
        """
        if not self._listens:
            self._listen()
        done: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((image, done))
        self._decode()
        return done

    def _start(self, what: str, stack: ExitStack) -> socket.socket:
        """Start a process, and wait until it is ready."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.callback(ours.close)
        descriptors = theirs.fileno(), self._memory, self._crops
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", PROCESS, what, str(os.getpid())),
                *map(str, descriptors),
                json.dumps(self._plan.as_json()),
            ],
            pass_fds=descriptors,
            env={**os.environ, "OMP_NUM_THREADS": str(self._plan.threads)},
        )
        theirs.close()
        stack.callback(process.wait)
        stack.callback(process.kill)
        if ours.recv(len(READY)) != READY:
            raise ChildProcessError(f"a {what} does not begin")
        return ours

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number, each in enumerate(self._codecs):
            loop.add_reader(each.fileno(), self._hear_codec, number)
        for each in self._predictors:
            loop.add_reader(each.fileno(), self._hear_predictor, each)
        self._listens = True

    def _decode(self) -> None:
        """Give images to codecs."""
        while self._waiting and self._free:
            number = max(range(len(self._lanes)), key=self._lanes.__getitem__)
            if not self._lanes[number]:
                return
            image, done = self._waiting.popleft()
            cell = self._free.pop()
            self._lanes[number] -= 1
            self._taken[cell] = done, number
            os.pwrite(self._memory, image, cell * SPACE)
            self._codecs[number].send(TASK.pack(DECODE, cell, len(image), 0.0))

    def _hear_codec(self, number: int) -> None:
        what, cell, length, _ = TASK.unpack(_received(self._codecs[number]))
        if what == DECODE:
            self._lanes[number] += 1
            self._decoded.append(cell)
            self._compute()
        else:
            self._finish(cell, os.pread(self._memory, length, cell * SPACE))
        self._decode()

    def _compute(self) -> None:
        """Give decoded images to predictors."""
        while self._idle and len(self._decoded) >= self._plan.least:
            count = min(self._plan.batch, len(self._decoded))
            cells = [self._decoded.popleft() for _ in range(count)]
            self._idle.pop().send(np.array(cells, "<u4").tobytes())

    def _hear_predictor(self, sender: socket.socket) -> None:
        message = _received(sender)
        self._idle.append(sender)
        self._compute()
        for cell, score in answered(message):
            if self._plan.pictures:
                holder = self._codecs[self._taken[cell][1]]
                holder.send(TASK.pack(DRAW, cell, 0, score))
            else:
                self._finish(cell, None)
        self._decode()

    def _finish(self, cell: int, picture: bytes | None) -> None:
        done, _ = self._taken.pop(cell)
        self._free.append(cell)
        if not done.done():
            done.set_result(picture)


def _received(channel: socket.socket) -> bytes:
    message = b""
    with suppress(ConnectionResetError):  # it ended with messages that it has not read
        message = channel.recv(LONGEST)
    if not message:
        # An error would only be logged, by a loop that calls again and again.
        print("a process to which images are handed over has ended", file=sys.stderr, flush=True)
        signal.raise_signal(signal.SIGKILL)
    return message
