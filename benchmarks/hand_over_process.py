"""A process to which a program hands over images; arguments WHAT OWNER CHANNEL MEMORY CROPS PLAN.

WHAT is `codec` or `predictor`; CHANNEL, MEMORY and CROPS are descriptors of a socket that keeps
messages apart, and of files; PLAN is a JSON object that `StagePlan` reads. Each message is about
cells: one has a place in CROPS, and one in MEMORY, for an image and then for its picture.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.stages import StagePlan
from worker.bench.codec_process import LABEL
from worker.device import CPU
from worker.images.draw import draw
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.model import ModelSpec, load_model_spec
from worker.predictor.loading import load_predictor
from worker.runtime.children import die_with
from worker.settings import DecodeSettings, PictureSettings

if TYPE_CHECKING:
    import numpy.typing as npt

    from worker.inference.protocol import BackendName

__all__ = ["ANSWER", "DECODE", "DRAW", "LONGEST", "READY", "SPACE", "TASK", "answered", "main"]

TASK = struct.Struct("<BIIf")
"""To a codec and back: what, the cell, the bytes in its memory, the score to draw."""

DECODE, DRAW = 0, 1

ANSWER = np.dtype([("cell", "<u4"), ("score", "<f4")])
"""From a predictor, for each cell; it is given the cells alone, each a `<u4`."""

READY = b"ready"
"""What a process says once it can begin."""

LONGEST = 64 * 1024
"""Bytes of a message."""

SPACE = 2**26
"""Bytes of a cell's place in the memory, where only those that are used are taken."""


def answered(message: bytes) -> list[tuple[int, float]]:
    """Read what a predictor answers.

    Returns:
        Each cell with its best score.
    """
    pairs: list[tuple[int, float]] = np.frombuffer(message, ANSWER).tolist()
    return pairs


def _codec(
    channel: socket.socket,
    memory: int,
    crops: npt.NDArray[np.uint8],
    plan: StagePlan,
    spec: ModelSpec,
) -> None:
    """Decode images and draw on them."""
    transform = Transform(spec.resize, spec.crop, spec.channels)
    decode, settings = DecodeSettings(), PictureSettings()
    side = settings.max_side if plan.pictures else None
    pictures: dict[int, npt.NDArray[np.uint8] | None] = {}
    channel.send(READY)
    while message := channel.recv(TASK.size):
        what, cell, length, score = TASK.unpack(message)
        if what == DECODE:
            prepared = prepare(os.pread(memory, length, cell * SPACE), transform, decode, side)
            crops[cell] = prepared.crop
            pictures[cell] = prepared.picture
        else:
            picture = pictures.pop(cell)
            assert picture is not None, "only pictures that are wanted are drawn"
            jpeg = draw(picture, LABEL, score, settings.quality)
            length = os.pwrite(memory, jpeg, cell * SPACE)
        channel.send(TASK.pack(what, cell, length, score))


def _predictor(
    channel: socket.socket, _: int, crops: npt.NDArray[np.uint8], plan: StagePlan, spec: ModelSpec
) -> None:
    """Compute crops."""
    backend: BackendName = plan.backend  # type: ignore[assignment]
    network = load_predictor(spec, CPU, plan.threads, backend)
    network.scores(crops[: plan.batch])
    channel.send(READY)
    while message := channel.recv(LONGEST):
        cells = np.frombuffer(message, "<u4")
        answer = np.empty(len(cells), ANSWER)
        answer["cell"] = cells
        answer["score"] = network.scores(crops[cells]).max(axis=1)
        channel.send(answer.tobytes())


def main() -> None:
    """Work until the owner is gone."""
    what, *numbers, described = sys.argv[1:]
    owner, descriptor, memory, file = map(int, numbers)
    die_with(owner)
    plan = StagePlan.from_json(json.loads(described))
    spec = load_model_spec(Path(plan.model))
    flat = np.frombuffer(mmap.mmap(file, 0), np.uint8)
    work = _codec if what == "codec" else _predictor
    with socket.socket(fileno=descriptor) as channel:
        work(channel, memory, flat.reshape(-1, *spec.input_size, 3), plan, spec)


if __name__ == "__main__":
    main()
