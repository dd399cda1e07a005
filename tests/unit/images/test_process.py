"""An image process's own side of the protocol, in this process: what it does call after call."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from worker.failpoints import Failpoints
from worker.images import process
from worker.images.decode import decode
from worker.images.draw import draw
from worker.images.transform import Transform
from worker.imaging.protocol import Frames, Setup, frame
from worker.model import CenterCrop, Resize
from worker.runtime.processes import anonymous_file
from worker.settings import DecodeSettings

BOUND = 30.0
"""Seconds; for what takes some hundredths."""

LIMITS = DecodeSettings()
RESIZE, CROP = Resize(256, None), CenterCrop(224, 224)
SETUP = Setup(
    RESIZE,
    CROP,
    "RGB",
    LIMITS.max_bytes,
    LIMITS.max_pixels,
    LIMITS.max_side,
    LIMITS.memory,
    LIMITS.cpu_seconds,
    Failpoints(),
)


class Bench:
    """Files and a socket as an image process inherits them."""

    def __init__(self, stack: ExitStack) -> None:
        files = [anonymous_file() for _ in range(4)]
        for descriptor in files:
            stack.callback(os.close, descriptor)
        self.progress, self.crops, *self.lanes = files
        ours, theirs = socket.socketpair()
        self.socket = stack.enter_context(ours)
        self.socket.settimeout(BOUND)
        stack.enter_context(theirs)
        self._theirs = theirs.fileno()

    def run(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        """Say all at once, and hear a reply to each call; then the owner is gone."""
        theirs = os.dup(self._theirs)
        inherited = process.Descriptors(theirs, self.progress, self.crops, tuple(self.lanes))
        one = process._Process(SETUP, inherited)
        self.socket.sendall(b"".join(frame(message) for message in messages))
        thread = threading.Thread(target=one.run)
        thread.start()
        try:
            frames = Frames()
            replies: list[dict[str, Any]] = []
            while len(replies) < 1 + sum("do" in message for message in messages):
                replies += frames.feed(self.socket.recv(2**16))
        finally:
            self.socket.shutdown(socket.SHUT_WR)
            thread.join(BOUND)
            one._socket.close()
        return replies

    def prepare(self, call: int, data: bytes) -> dict[str, Any]:
        """A call that decodes an image, and keeps its picture."""
        os.pwrite(self.lanes[0], data, 0)
        facts = {"form": "bytes", "path": None, "length": len(data), "side": 1024, "whole": False}
        return {"do": "prepare", "call": call, "lane": 0, "cell": 0, **facts}

    def draw(self, call: int, picture: int) -> dict[str, Any]:
        """A call that draws on a picture."""
        facts = {"picture": picture, "label": "cat", "score": 0.5, "quality": 85}
        return {"do": "draw", "call": call, "lane": 1, "cell": None, **facts}


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limits that are set; on this process they must not be."""
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(process, "_limit", lambda what, value: limits.append((what, value)))
    return limits


@pytest.fixture
def bench(limited: list[tuple[int, int]]) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


@pytest.mark.parametrize("step", ["label_own", "encode_picture"])
def test_a_picture_that_got_no_memory_is_drawn_once(
    bench: Bench,
    photograph: Callable[[str], bytes],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    data, whole = photograph("china.jpg"), getattr(process, step)
    failures = [MemoryError(), MemoryError()]

    def short(*given: Any) -> Any:
        if failures:
            raise failures.pop()
        return whole(*given)

    monkeypatch.setattr(process, step, short)
    draws = [bench.draw(call, 1) for call in (2, 3, 4)]
    replies = bench.run(bench.prepare(1, data), *draws)
    said = [(reply["call"], reply["is"]) for reply in replies]
    assert said == [(0, "up"), (1, "prepared"), (2, "shortage"), (3, "shortage"), (4, "drawn")]
    bgr = decode(data, LIMITS)
    crop = Transform(RESIZE, CROP)(bgr)
    assert os.pread(bench.crops, crop.nbytes, 0) == crop.tobytes()
    assert os.pread(bench.lanes[1], replies[-1]["length"], 0) == draw(bgr, "cat", 0.5, 85)


def test_a_call_that_is_withdrawn_behind_another_is_not_begun(
    bench: Bench, photograph: Callable[[str], bytes]
) -> None:
    calls = [bench.prepare(call, photograph("china.jpg")) for call in (1, 2, 3)]
    replies = bench.run(*calls, {"withdraw": 2})
    said = [(reply["call"], reply["is"]) for reply in replies]
    assert said == [(0, "up"), (1, "prepared"), (2, "skipped"), (3, "prepared")]


def test_processor_time_is_limited_anew_when_it_is_another_second(
    bench: Bench,
    photograph: Callable[[str], bytes],
    monkeypatch: pytest.MonkeyPatch,
    limited: list[tuple[int, int]],
) -> None:
    used = iter([0.2, 0.9, 1.1, 4.0, 4.0])
    monkeypatch.setattr(process, "_processor_time", lambda: next(used))
    bench.run(*(bench.prepare(call, photograph("china.jpg")) for call in range(1, 6)))
    most = LIMITS.cpu_seconds
    assert limited == [(resource.RLIMIT_CPU, second + most) for second in (1, 2, 4)]
