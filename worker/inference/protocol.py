"""What a predictor process and its owner say to each other, and the memory that they share.

Messages are small JSON objects over a socket pair (`worker.runtime.messages`). Images and scores
cross in an anonymous file that both map: it has no name in the file system, so nothing is left
behind however either side ends.

The owner checks what a process answers, which an image that broke into it may have made up. The
process takes its owner's word.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from worker.device import Device
from worker.failpoints import Failpoints
from worker.hpip import OnnxBackend
from worker.kernels import PLAIN_KERNELS, Kernels
from worker.model import (
    AllAbove,
    BestAbove,
    BestOnes,
    CenterCrop,
    ModelSpec,
    Normalize,
    Resize,
    Rule,
)
from worker.runtime.messages import BadMessageError, integer_in, number_in, text_in
from worker.runtime.processes import keep_size

__all__ = [
    "UNUSABLE_DEVICE",
    "BackendName",
    "DropSolo",
    "Failed",
    "Loaded",
    "Ran",
    "Run",
    "SharedBatch",
    "Start",
    "read_answer",
    "read_request",
    "read_start",
    "to_message",
]

UNUSABLE_DEVICE = 2
"""Exit code of a process that looks for a device: the one that is named cannot be used."""

MAX_CLASSES = 1 << 24
"""Most classes that a process may say its network has: memory for their scores is mapped."""

BackendName = Literal["paddle", OnnxBackend]
"""The libraries with which a predictor process can compute."""

_PATHS = ("directory", "program", "params")
_RULES: Mapping[str, type[Rule]] = {rule.__name__: rule for rule in (BestOnes, BestAbove, AllAbove)}


@dataclass(frozen=True, slots=True)
class Start:
    """Owner to process, first: what to load. Answered by `Loaded` or `Failed`.

    Attributes:
        spec: without labels and thresholds, thousands of which the process does not need.
        threads: CPU threads, but for runs that name others.
        capacity: most images of one batch.
        idle: whether the process takes only the time of cores that nobody else wants.
        buffers: batches that the shared memory holds: one that is computed, and with two, one that
            is put together meanwhile.
    """

    spec: ModelSpec
    device: Device
    threads: int
    capacity: int
    failpoints: Failpoints
    backend: BackendName
    idle: bool = False
    kernels: Kernels = PLAIN_KERNELS
    buffers: int = 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """Process to owner: the model is ready.

    Attributes:
        classes: that it tells apart.
        backend: what computes: `paddle+onednn`, `paddle`, `onnxruntime`, `openvino`, with
            `+cuda`, `+tensorrt`, `+fp16` or `+bf16` where that is so.
    """

    classes: int
    backend: str


@dataclass(frozen=True, slots=True)
class Run:
    """Owner to process: `count` images are a batch. Answered by `Ran` or `Failed`.

    Attributes:
        solo_threads: CPU threads for an image that nothing else is computed beside, on a second
            copy of the network, which is loaded at the first such run; 0 for those of `Start`.
        first: row of the shared memory that the first image is in; the others follow.
        part: images that are computed at once, one part after the other; 0 for all.
    """

    count: int
    solo_threads: int = 0
    first: int = 0
    part: int = 0


@dataclass(frozen=True, slots=True)
class DropSolo:
    """Owner to process: free the second copy of the network. Answered by `Ran`."""


@dataclass(frozen=True, slots=True)
class Ran:
    """Process to owner: the scores are in the shared memory.

    Attributes:
        seconds: what the predictor took.
        cpu_seconds: CPU time of all its threads.
    """

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """Process to owner: what was asked for failed.

    Attributes:
        why: a sentence.
        unfit: whether it is the system that lacks a library.
    """

    why: str
    unfit: bool = False


def to_message(said: Start | Loaded | Run | DropSolo | Ran | Failed) -> dict[str, Any]:
    """Write what one side says.

    Returns:
        A message of plain values, under the name of its kind.
    """
    if not isinstance(said, Start):
        # `asdict` looks into each value, which takes longer than all else that is done with it.
        return {type(said).__name__: {name: getattr(said, name) for name in said.__slots__}}
    fields = asdict(said)
    fields["spec"]["rule"] = type(said.spec.rule).__name__
    for name in _PATHS:
        fields["spec"][name] = str(fields["spec"][name])
    return {type(said).__name__: fields}


def read_start(message: Mapping[str, Any]) -> Start:
    """Read what an owner says first.

    Returns:
        What `to_message` wrote, its rule with that rule's default thresholds.
    """
    fields, spec = message["Start"], message["Start"]["spec"]
    resize, crop = spec["resize"], spec["crop"]
    return Start(
        **fields
        | {
            "spec": ModelSpec(
                **spec
                | {name: Path(spec[name]) for name in _PATHS}
                | {
                    "resize": resize and Resize(**_with_tuples(resize)),
                    "crop": crop and CenterCrop(**crop),
                    "normalize": Normalize(**_with_tuples(spec["normalize"])),
                    "labels": tuple(spec["labels"]),
                    "rule": _RULES[spec["rule"]](),
                }
            ),
            "device": Device(**_with_tuples(fields["device"])),
            "failpoints": Failpoints(**_with_tuples(fields["failpoints"])),
            "kernels": Kernels(**fields["kernels"]),
        }
    )


def read_request(message: Mapping[str, Any]) -> Run | DropSolo:
    """Read what an owner asks for.

    Returns:
        What `to_message` wrote.
    """
    return DropSolo() if "DropSolo" in message else Run(**message["Run"])


def read_answer(message: Mapping[str, Any]) -> Loaded | Ran | Failed:
    """Read what a process answers, and check it.

    Returns:
        The answer.

    Raises:
        BadMessageError: it is none, or one of its fields is not what it must be.
    """
    match message:
        case {"Loaded": dict(fields)}:
            return Loaded(integer_in(fields, "classes", 1, MAX_CLASSES), text_in(fields, "backend"))
        case {"Ran": dict(fields)}:
            return Ran(number_in(fields, "seconds"), number_in(fields, "cpu_seconds"))
        case {"Failed": dict(fields)}:
            return Failed(text_in(fields, "why"), fields.get("unfit") is True)
    raise BadMessageError("it is no answer")


def _with_tuples(value: Any) -> Any:  # noqa: ANN401 - of a message
    """Turn JSON's lists into tuples again, lists within lists too."""
    if isinstance(value, list):
        return tuple(map(_with_tuples, value))
    if isinstance(value, dict):
        return {key: _with_tuples(each) for key, each in value.items()}
    return value


class SharedBatch:
    """`capacity` crops and their scores in one mapped file: a batch, or several one after another.

    Attributes:
        crops: `[capacity, H, W, 3] uint8`, written by the owner.
        scores: `[capacity, C] float32`, written by the process.
        size: bytes of both, from the first crop on.
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
        keep_size(descriptor)
        self._map = mmap.mmap(descriptor, size)
        self.size = size
        self.crops: npt.NDArray[np.uint8] = np.frombuffer(self._map, np.uint8, pixels).reshape(
            capacity, height, width, 3
        )
        self.scores: npt.NDArray[np.float32] = np.frombuffer(
            self._map, np.float32, capacity * classes, start
        ).reshape(capacity, classes)
