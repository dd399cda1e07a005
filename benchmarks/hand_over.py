"""Codecs and predictors in processes of their own, to which each image is handed over.

What a program of such processes costs at least, if it does not check, bound, repeat or measure
anything: where an image may end the process that works on it, none can have fewer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from benchmarks.hand_over_processes import (
    CELLS,
    DECODE,
    DRAW,
    MESSAGE,
    READY,
    Shared,
    codec,
    predictor,
)
from benchmarks.stages import StagePlan
from worker.runtime.children import die_with

__all__ = ["HandOver"]

LANES = 2
"""Images that a codec decodes and has waiting, so that it is never idle."""

_LONGEST = 4096

Run = Callable[[socket.socket, StagePlan, Shared], None]


class HandOver:
    """The running processes; for one event loop, which must not run before they are made.

    Args:
        plan: which there are.
        stack: ends them.
    """

    def __init__(self, plan: StagePlan, stack: ExitStack) -> None:
        self._plan = plan
        self._shared = Shared.make(plan)
        for file in self._shared.files:
            stack.callback(os.close, file)
        self._codecs = [self._fork(codec, stack) for _ in range(plan.codecs)]
        self._predictors = [self._fork(predictor, stack) for _ in range(plan.predictors)]
        for each in self._predictors:
            if each.recv(len(READY)) != READY:
                raise ChildProcessError("a predictor cannot load the network")
        self._lanes = [LANES] * plan.codecs
        self._idle = list(self._predictors)
        self._free = list(range(CELLS))
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

    def _fork(self, run: Run, stack: ExitStack) -> socket.socket:
        """Start a process; the socket to it keeps messages apart."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        owner, pid = os.getpid(), os.fork()
        if pid == 0:
            try:
                die_with(owner)
                ours.close()
                run(theirs, self._plan, self._shared)
            except Exception:  # noqa: BLE001 - told, and it must not go on as a second program
                traceback.print_exc()
            finally:
                os._exit(1)
        theirs.close()
        stack.callback(ours.close)
        stack.callback(os.waitpid, pid, 0)
        stack.callback(os.kill, pid, signal.SIGKILL)
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
            os.pwrite(self._shared.files[cell], image, 0)
            self._codecs[number].send(MESSAGE.pack(DECODE, cell, len(image), 0.0))

    def _hear_codec(self, number: int) -> None:
        message = self._codecs[number].recv(MESSAGE.size)
        if not message:
            raise ChildProcessError("a codec has ended")
        what, cell, length, _ = MESSAGE.unpack(message)
        if what == DECODE:
            self._lanes[number] += 1
            self._decoded.append(cell)
            self._compute()
        else:
            self._finish(cell, os.pread(self._shared.files[cell], length, 0))
        self._decode()

    def _compute(self) -> None:
        """Give decoded images to predictors."""
        while self._idle and len(self._decoded) >= self._plan.least:
            count = min(self._plan.batch, len(self._decoded))
            self._idle.pop().send(bytes(self._decoded.popleft() for _ in range(count)))

    def _hear_predictor(self, sender: socket.socket) -> None:
        message = sender.recv(_LONGEST)
        if not message:
            raise ChildProcessError("a predictor has ended")
        self._idle.append(sender)
        self._compute()
        count = len(message) // 5
        scores: list[float] = np.frombuffer(message, "<f4", count, count).tolist()
        for cell, score in zip(message[:count], scores, strict=True):
            if self._plan.pictures:
                holder = self._codecs[self._taken[cell][1]]
                holder.send(MESSAGE.pack(DRAW, cell, 0, score))
            else:
                self._finish(cell, None)
        self._decode()

    def _finish(self, cell: int, picture: bytes | None) -> None:
        done, _ = self._taken.pop(cell)
        self._free.append(cell)
        if not done.done():
            done.set_result(picture)
