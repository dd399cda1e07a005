"""What the processes do to which a program hands over images: codecs, and predictors.

A process is forked, and lives as long as its end of a socket; each message on it is about cells.
What is large is in memory that all share.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from worker.bench.codec_process import LABEL
from worker.device import CPU
from worker.images.draw import draw
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.model import load_model_spec
from worker.predictor.loading import load_predictor
from worker.runtime.processes import anonymous_file
from worker.settings import DecodeSettings, PictureSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from benchmarks.stages import StagePlan
    from worker.inference.protocol import BackendName

__all__ = ["CELLS", "DECODE", "DRAW", "MESSAGE", "READY", "Shared", "codec", "predictor"]

CELLS = 128
"""Images that are decoded, computed and drawn at a time, at most."""

MESSAGE = struct.Struct("<BBIf")
"""To a codec and back: what, the cell, the bytes in its file, the score to draw."""

DECODE, DRAW = 0, 1

READY = b"ready"
"""What a predictor says once it has loaded the network."""

_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Shared:
    """Memory of all processes, made before they are forked.

    Attributes:
        crops: `[CELLS, H, W, 3] uint8`.
        files: of each cell; first an image, then its picture.
    """

    crops: npt.NDArray[np.uint8]
    files: Sequence[int]

    @classmethod
    def make(cls, plan: StagePlan) -> Self:
        """Make it for a network's crops.

        Returns:
            It, with files to be closed in the end.
        """
        shape = CELLS, *load_model_spec(Path(plan.model)).input_size, 3
        crops = np.frombuffer(mmap.mmap(-1, int(np.prod(shape))), np.uint8).reshape(shape)
        return cls(crops, [anonymous_file() for _ in range(CELLS)])


def codec(channel: socket.socket, plan: StagePlan, shared: Shared) -> None:
    """Decode images and draw on them, as `MESSAGE` after `MESSAGE` says."""
    spec = load_model_spec(Path(plan.model))
    transform = Transform(spec.resize, spec.crop, spec.channels)
    decode, settings = DecodeSettings(), PictureSettings()
    side = settings.max_side if plan.pictures else None
    pictures: dict[int, npt.NDArray[np.uint8] | None] = {}
    while message := channel.recv(MESSAGE.size):
        what, cell, length, score = MESSAGE.unpack(message)
        file = shared.files[cell]
        if what == DECODE:
            prepared = prepare(os.pread(file, length, 0), transform, decode, side)
            shared.crops[cell] = prepared.crop
            pictures[cell] = prepared.picture
        else:
            picture = pictures.pop(cell)
            assert picture is not None, "only pictures that are wanted are drawn"
            jpeg = draw(picture, LABEL, score, settings.quality)
            length = os.pwrite(file, jpeg, 0)
        channel.send(MESSAGE.pack(what, cell, length, score))


def predictor(channel: socket.socket, plan: StagePlan, shared: Shared) -> None:
    """Compute the crops of the cells in each message; answer with them and their best scores.

    The answer is a byte for each cell, then a float32 for each.
    """
    backend: BackendName = plan.backend  # type: ignore[assignment]
    network = load_predictor(load_model_spec(Path(plan.model)), CPU, plan.threads, backend)
    network.scores(shared.crops[: plan.batch])
    channel.send(READY)
    while message := channel.recv(_LONGEST):
        scores = network.scores(shared.crops[list(message)])
        channel.send(message + scores.max(axis=1).astype("<f4").tobytes())
