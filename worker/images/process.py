"""An image process: it decodes, transforms, draws and encodes for the worker, call after call.

Native codecs work on untrusted input here, within limits, so that whatever an image does to them
ends one process and costs one image. `worker.images.forks` makes it; `worker.imaging` drives it.
"""

from __future__ import annotations

import math
import mmap
import os
import resource
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from worker.errors import JobError
from worker.images.base64 import decode_image_text
from worker.images.held_picture import HeldPicture
from worker.images.local_files import read_file
from worker.images.memory import limit_reached, raising_memory_errors
from worker.images.preparation import prepare_image
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.imaging.protocol import MAX_TEXT, Frames, Setup, frame
from worker.runtime.priority import be_first_to_go, come_second

if TYPE_CHECKING:
    import numpy.typing as npt

    from worker.images.prepare import Prepared

__all__ = ["Descriptors", "serve"]

TOLD_BYTES = 16 * 1024 * 1024
"""Bytes from which on what decoding will take is told before it begins."""

LARGE = 1024 * 1024
"""Bytes of a file from which on its memory is given back at once."""

EARLY_PIXELS = 2_000_000
"""Most pixels of a picture that is encoded while there is no call: the next one, which comes here
since this process seems to be idle, waits until it is done, some milliseconds."""

_CHUNK = 64 * 1024
_CALL = struct.Struct("<q")
_CPUCLOCK_PROF = -8
"""Linux's clock of this process's user and system time, with no name in Python."""
_BETWEEN_CALLS = 0


@dataclass(frozen=True, slots=True)
class Descriptors:
    """What an image process inherits.

    Attributes:
        socket: to the owner.
        progress: a file whose first 8 bytes are the number of the call that runs, or 0.
        crops: the file with all crops, cell after cell.
        lanes: files with what a call is about, and its result.
    """

    socket: int
    progress: int
    crops: int
    lanes: tuple[int, ...]


def serve(setup: Setup, descriptors: Descriptors) -> None:
    """Answer calls until the owner closes the socket."""
    _limit(resource.RLIMIT_CORE, 0, for_good=True)
    _limit(resource.RLIMIT_AS, setup.memory, for_good=True)
    be_first_to_go()
    come_second()
    with suppress(BrokenPipeError, ConnectionResetError):
        _Process(setup, descriptors).run()


class _Process:
    def __init__(self, setup: Setup, descriptors: Descriptors) -> None:
        self._setup = setup
        self._transform = Transform(setup.resize, setup.crop, setup.channels)
        self._socket = socket.socket(fileno=descriptors.socket)
        # Set, not asked for: a descriptor does not block if the program that made it has a default
        # time-out, and this would ask for messages without end.
        self._socket.settimeout(None)
        self._crops = descriptors.crops
        self._lanes = descriptors.lanes
        os.ftruncate(descriptors.progress, mmap.PAGESIZE)
        self._progress = mmap.mmap(descriptors.progress, mmap.PAGESIZE)
        self._frames = Frames()
        self._waiting: deque[dict[str, Any]] = deque()
        self._withdrawn: set[int] = set()
        # Invariant: pictures that are not drawn yet, by the number of the call that made them; the
        # owner counts their bytes, draws on each or drops it.
        self._pictures: dict[int, HeldPicture] = {}
        # Invariant: those of them that are to be encoded when there is no call, and their quality.
        self._early: dict[int, int] = {}
        self._allowed = 0

    def run(self) -> None:
        self._reply(_BETWEEN_CALLS, "up")
        while self._take_in():
            if self._waiting:
                self._do(self._waiting.popleft())
            elif self._early:
                self._encode_early(next(iter(self._early)))

    def _take_in(self) -> bool:
        """Read messages; False at the end, when the owner is gone."""
        # What was withdrawn while the last call ran is not begun: so this looks before each call,
        # and waits only when there is nothing to do.
        busy = self._waiting or self._early
        try:
            chunk = self._socket.recv(_CHUNK, socket.MSG_DONTWAIT if busy else 0)
        except BlockingIOError:
            return True
        for message in self._frames.feed(chunk):
            if "do" in message:
                self._waiting.append(message)
            else:
                self._withdraw(message["withdraw"])
        return bool(chunk)

    def _withdraw(self, call: int) -> None:
        """Forget a picture, or a call that waits."""
        if any(message["call"] == call for message in self._waiting):
            self._withdrawn.add(call)
        self._forget(call)

    def _forget(self, picture: int) -> None:
        self._pictures.pop(picture, None)
        self._early.pop(picture, None)

    def _do(self, message: dict[str, Any]) -> None:
        call: int = message["call"]
        if call in self._withdrawn:
            self._withdrawn.discard(call)
            self._reply(call, "skipped")
            return
        self._allow(self._setup.cpu_seconds)
        _CALL.pack_into(self._progress, 0, call)
        what, facts = self._answer(message)
        _CALL.pack_into(self._progress, 0, _BETWEEN_CALLS)
        self._reply(call, what, **facts)

    def _allow(self, seconds: int) -> None:
        """Allow so much processor time from now on; beyond it the kernel ends this process."""
        # Limits are whole seconds, so that a new one is needed once for many calls.
        until = math.ceil(_processor_time()) + seconds
        if until != self._allowed:
            _limit(resource.RLIMIT_CPU, until)
            self._allowed = until

    def _answer(self, message: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        try:
            with raising_memory_errors():
                if message["do"] == "draw":
                    return "drawn", self._draw(message)
                return "prepared", self._prepare(message)
        except JobError as error:
            facts: dict[str, Any] = {"reason": error.reason.label, "message": _text(error.message)}
            return "refused", {**facts, "stage": error.stage}
        except MemoryError:
            pass
        except Exception as error:  # noqa: BLE001 - a defect costs its job alone
            return "raised", {"error": type(error).__name__}
        # Out of the block above, which holds on to what was allocated.
        return ("limit" if limit_reached(self._setup.memory) else "shortage"), {}

    def _prepare(self, message: dict[str, Any]) -> dict[str, Any]:
        call, cell, lane = message["call"], message["cell"], self._lanes[message["lane"]]
        prepared = self._decode(call, message, lane)
        self._setup.failpoints.after_decoding(prepared.crop)
        if cell is not None:
            _write(self._crops, _flat(prepared.crop), cell * prepared.crop.nbytes)
        picture = prepared.picture
        if picture is None:
            return {"picture": None}
        if message["whole"]:
            _write(lane, _flat(picture))
        else:
            self._pictures[call] = HeldPicture(picture)
            if message["early"] is not None and picture.size <= 3 * EARLY_PIXELS:
                self._early[call] = message["early"]
        return {"picture": picture.shape[:2]}

    def _decode(self, call: int, message: dict[str, Any], lane: int) -> Prepared:
        setup, side = self._setup, message["side"]

        def tell(nbytes: int) -> None:
            if nbytes >= TOLD_BYTES:
                self._reply(call, "accounted", nbytes=nbytes)

        if message["path"] is not None:
            name = os.fsdecode(message["path"].encode("latin-1"))
            data = read_file(Path(name), setup.max_bytes)
        else:
            data = os.pread(lane, message["length"], 0)
            if len(data) > LARGE:
                os.ftruncate(lane, 0)
        match message["form"]:
            case "pixels":
                pixels = np.frombuffer(data, np.uint8).reshape(*message["shape"], 3)
                return prepare_image(pixels, self._transform, setup, None)
            case "text":
                data = decode_image_text(data.decode("utf-8", "surrogatepass"), setup.max_bytes)
        return prepare(data, self._transform, setup, side, tell)

    def _encode_early(self, number: int) -> None:
        """Encode a picture while there is no call."""
        quality = self._early.pop(number)
        self._allow(self._setup.cpu_seconds)
        # Whatever is wrong, the call that draws it encodes all of it, and tells what happens then.
        with suppress(Exception):
            self._pictures[number].encode_early(quality)

    def _draw(self, message: dict[str, Any]) -> dict[str, Any]:
        number = message["picture"]
        picture = self._pictures[number]
        self._setup.failpoints.before_drawing(picture.pixels)
        jpeg = picture.draw(message["label"], message["score"], message["quality"])
        _write(self._lanes[message["lane"]], jpeg)
        # Kept until here: a call that got no memory comes again.
        self._forget(number)
        return {"length": len(jpeg)}

    def _reply(self, call: int, what: str, **facts: object) -> None:
        self._socket.sendall(frame({"call": call, "is": what, **facts}))


def _write(descriptor: int, data: bytes | memoryview, offset: int = 0) -> None:
    remaining = memoryview(data)
    while remaining:
        written = os.pwrite(descriptor, remaining, offset)
        remaining, offset = remaining[written:], offset + written


def _flat(pixels: npt.NDArray[np.uint8]) -> memoryview:
    return np.ascontiguousarray(pixels).reshape(-1).data


def _text(message: str) -> str:
    """Within what the owner accepts, and Unicode: a file's name need not be."""
    return message[:MAX_TEXT].encode(errors="replace").decode()


def _processor_time() -> float:
    """Seconds of processor time as RLIMIT_CPU counts them.

    Linux counts ticks for that. Its more exact clock, which `time.process_time` and `getrusage`
    read, differs by a fifth where calls are short, without end.
    """
    try:
        return time.clock_gettime(_CPUCLOCK_PROF)
    except OSError:  # another system
        return time.process_time()


def _limit(what: int, value: int, *, for_good: bool = False) -> None:
    """Set a limit, which never goes above what the process was given at its start."""
    soft, hard = _inherited.setdefault(what, resource.getrlimit(what))
    given = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    value = min([value, *given])
    resource.setrlimit(what, (value, value if for_good else hard))


_inherited: dict[int, tuple[int, int]] = {}
