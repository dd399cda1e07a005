"""An image process's own side of the protocol, in this process: what it does call after call."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.make import encode, noise
from worker.failpoints import Failpoints
from worker.images import held_picture, process
from worker.images.decode import decode
from worker.images.draw import draw
from worker.images.held_picture import HeldPicture
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

    def run(
        self, *messages: dict[str, Any], meanwhile: Sequence[dict[str, Any]] = ()
    ) -> list[dict[str, Any]]:
        """Say all at once, and hear a reply to each call; then the owner is gone.

        Args:
            meanwhile: what is said when `say_meanwhile` is called.
        """
        theirs = os.dup(self._theirs)
        inherited = process.Descriptors(theirs, self.progress, self.crops, tuple(self.lanes))
        one = process._Process(SETUP, inherited)
        self._meanwhile = meanwhile
        self._say(messages)
        thread = threading.Thread(target=one.run)
        thread.start()
        try:
            frames = Frames()
            replies: list[dict[str, Any]] = []
            while len(replies) < 1 + sum("do" in one for one in (*messages, *meanwhile)):
                replies += frames.feed(self.socket.recv(2**16))
        finally:
            self.socket.shutdown(socket.SHUT_WR)
            thread.join(BOUND)
            one._socket.close()
        return replies

    def say_meanwhile(self) -> None:
        """Say what is to be said while the process does what this is called in; once."""
        self._say(self._meanwhile)
        self._meanwhile = ()

    def _say(self, messages: Sequence[dict[str, Any]]) -> None:
        self.socket.sendall(b"".join(frame(message) for message in messages))

    def prepare(
        self, call: int, data: bytes, early: int | None = None, lane: int = 0
    ) -> dict[str, Any]:
        """A call that decodes an image, and keeps its picture."""
        os.pwrite(self.lanes[lane], data, 0)
        facts = {"form": "bytes", "path": None, "length": len(data), "side": 1024, "whole": False}
        return {"do": "prepare", "call": call, "lane": lane, "cell": 0, "early": early, **facts}

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


class Encodings:
    """What becomes of pictures, in its order.

    Attributes:
        seen: `early` and `draw`.
        heights: of those that are encoded early, in pixels.
        error: what is wrong whenever a picture is encoded early.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.heights: list[int] = []
        self.error: Exception | None = None


@pytest.fixture
def encodings(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Encodings:
    watched = Encodings()

    class Watched(HeldPicture):
        def encode_early(self, quality: int) -> None:
            watched.seen.append("early")
            watched.heights.append(len(self.pixels))
            bench.say_meanwhile()
            if watched.error is not None:
                raise watched.error
            super().encode_early(quality)

        def draw(self, label: str | None, score: float, quality: int) -> bytes:
            watched.seen.append("draw")
            return super().draw(label, score, quality)

    monkeypatch.setattr(process, "HeldPicture", Watched)
    return watched


@pytest.mark.parametrize("step", ["label_own", "encode_jpeg"])
def test_a_picture_that_got_no_memory_is_drawn_once(
    bench: Bench,
    photograph: Callable[[str], bytes],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    data, whole = photograph("china.jpg"), getattr(held_picture, step)
    failures = [MemoryError(), MemoryError()]

    def short(*given: Any) -> Any:
        if failures:
            raise failures.pop()
        return whole(*given)

    monkeypatch.setattr(held_picture, step, short)
    draws = [bench.draw(call, 1) for call in (2, 3, 4)]
    replies = bench.run(bench.prepare(1, data), *draws)
    said = [(reply["call"], reply["is"]) for reply in replies]
    assert said == [(0, "up"), (1, "prepared"), (2, "shortage"), (3, "shortage"), (4, "drawn")]
    bgr = decode(data, LIMITS)
    crop = Transform(RESIZE, CROP)(bgr)
    assert os.pread(bench.crops, crop.nbytes, 0) == crop.tobytes()
    assert os.pread(bench.lanes[1], replies[-1]["length"], 0) == draw(bgr, "cat", 0.5, 85)


@pytest.mark.parametrize("error", [None, MemoryError(), RuntimeError()])
def test_an_idle_process_encodes_a_picture_before_its_label_is_known(
    bench: Bench, photograph: Callable[[str], bytes], encodings: Encodings, error: Exception
) -> None:
    data, encodings.error = photograph("china.jpg"), error
    replies = bench.run(bench.prepare(1, data, early=85), meanwhile=[bench.draw(2, 1)])
    assert [reply["is"] for reply in replies] == ["up", "prepared", "drawn"]
    assert encodings.seen == ["early", "draw"]
    expected = draw(decode(data, LIMITS), "cat", 0.5, 85)
    assert os.pread(bench.lanes[1], replies[-1]["length"], 0) == expected


def test_no_call_waits_for_a_picture_that_may_wait(
    bench: Bench, photograph: Callable[[str], bytes], encodings: Encodings
) -> None:
    data = photograph("china.jpg")
    calls = [bench.prepare(1, data, early=85), bench.prepare(2, data, early=85)]
    bench.run(*calls, bench.draw(3, 1), bench.draw(4, 2))
    assert encodings.seen == ["draw", "draw"]


def test_a_picture_that_nobody_wants_is_not_encoded(
    bench: Bench, photograph: Callable[[str], bytes], encodings: Encodings
) -> None:
    data = photograph("china.jpg")
    calls = [bench.prepare(1, data, early=85), bench.prepare(2, data, early=85)]
    bench.run(*calls, meanwhile=[{"withdraw": 2}, bench.draw(3, 1)])
    assert encodings.seen == ["early", "draw"]


def test_no_call_waits_long_for_a_large_picture_that_may_wait(
    bench: Bench, encodings: Encodings, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = (encode(noise(64, height), "JPEG") for height in (32, 33))
    monkeypatch.setattr(process, "EARLY_PIXELS", 64 * 32)
    calls = [bench.prepare(1, large, early=85), bench.prepare(2, small, early=85, lane=1)]
    bench.run(*calls, meanwhile=[bench.draw(3, 2), bench.draw(4, 1)])
    assert encodings.seen == ["early", "draw", "draw"]
    assert encodings.heights == [32]


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
