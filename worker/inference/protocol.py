"""What a predictor process and its owner say to each other, and the memory that they share.

Messages are small tuples of plain values over a socket pair. Images and scores cross in an
anonymous file that both map: it has no name in the file system, so nothing is left behind however
either side ends.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from worker.device import Device
from worker.failpoints import Failpoints
from worker.hpip import OnnxBackend
from worker.model import ModelSpec

__all__ = ["UNUSABLE_DEVICE", "BackendName", "Loaded", "Ran", "Run", "SharedBatch", "Start"]

UNUSABLE_DEVICE = 2
"""Exit code of the process that looks for a device: Paddle cannot use the one that is named."""

BackendName = Literal["paddle", OnnxBackend]
"""The libraries with which a predictor process can compute."""


@dataclass(frozen=True, slots=True)
class Start:
    """Owner to process, first: what to load. Answered by `Loaded`, or by an error as text."""

    spec: ModelSpec
    device: Device
    threads: int
    capacity: int
    failpoints: Failpoints
    backend: BackendName


@dataclass(frozen=True, slots=True)
class Loaded:
    """Process to owner: the model is ready.

    Attributes:
        classes: that it tells apart.
        backend: what computes: `paddle+onednn`, `paddle`, `onnxruntime` or `openvino`.
    """

    classes: int
    backend: str


@dataclass(frozen=True, slots=True)
class Run:
    """Owner to process: the first `count` images are a batch. Answered by `Ran`, or text."""

    count: int


@dataclass(frozen=True, slots=True)
class Ran:
    """Process to owner: the scores are in the shared memory.

    Attributes:
        seconds: what the predictor took.
    """

    seconds: float


class SharedBatch:
    """`capacity` crops and their scores in one mapped file.

    Attributes:
        crops: `[capacity, H, W, 3] uint8`, written by the owner.
        scores: `[capacity, C] float32`, written by the process.
    """

    def __init__(
        self, descriptor: int, capacity: int, input_size: tuple[int, int], classes: int
    ) -> None:
        height, width = input_size
        pixels = capacity * height * width * 3
        # Scores begin on a page of their own: aligned for any element type.
        start = -(-pixels // mmap.PAGESIZE) * mmap.PAGESIZE
        size = start + capacity * classes * 4
        os.ftruncate(descriptor, size)
        self._map = mmap.mmap(descriptor, size)
        self.crops: npt.NDArray[np.uint8] = np.frombuffer(self._map, np.uint8, pixels).reshape(
            capacity, height, width, 3
        )
        self.scores: npt.NDArray[np.float32] = np.frombuffer(
            self._map, np.float32, capacity * classes, start
        ).reshape(capacity, classes)
