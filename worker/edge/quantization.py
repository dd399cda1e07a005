"""int8 networks: ONNX Runtime's static quantization, with the ranges that sample images show.

Per tensor, from the least to the greatest value (MinMax). It is done in a process of its own, with
the arguments OWNER NETWORK CROPS NUMBERS TARGET: it prints much, and keeps memory. NUMBERS are the
shape of the crops and how they are normalised, as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.errors import ExportError
from worker.model import Normalize
from worker.predictor.normalization import Normalizer
from worker.runtime.child_environment import child_environment
from worker.runtime.children import die_with, module_command
from worker.runtime.tools import run_tool

__all__ = ["quantize"]

TIMEOUT = 1800.0
"""Seconds; the largest networks take seconds for each image."""

Tensor = npt.NDArray[np.float32]


def quantize(onnx: Path, crops: npt.NDArray[np.uint8], normalize: Normalize, target: Path) -> None:
    """Make an int8 network.

    Args:
        onnx: the network in float32.
        crops: `[N, H, W, 3] uint8`, as the network sees images.
        target: the file to write.

    Raises:
        ExportError: ONNX Runtime cannot do it; the message ends with its own.
    """
    with tempfile.TemporaryDirectory(prefix="int8-") as work:
        samples = Path(work) / "crops"
        crops.tofile(samples)
        numbers = json.dumps([crops.shape, normalize.scale, normalize.mean, normalize.std])
        arguments = map(str, (os.getpid(), onnx, samples, numbers, target))
        try:
            ended = run_tool(
                module_command(__name__, *arguments),
                environ=child_environment(),
                timeout=TIMEOUT,
                directory=Path(work),
            )
        except TimeoutError as error:
            raise ExportError(
                f"int8: {len(crops)} images took more than {TIMEOUT:g} s: name fewer"
            ) from error
    if ended.status != 0 or not target.is_file():
        raise ExportError(
            f"ONNX Runtime cannot make this network int8 (exit status {ended.status}): "
            f"{ended.lines[-1]}; leave --int8 out"
        )


class _Samples:
    """Gives the quantizer one image after the other."""

    def __init__(self, name: str, tensors: Iterator[Tensor]) -> None:
        self._name = name
        self._tensors = tensors

    def get_next(self) -> dict[str, Tensor] | None:
        tensor = next(self._tensors, None)
        return None if tensor is None else {self._name: tensor}


def _tensors(crops: npt.NDArray[np.uint8], normalize: Normalize) -> Iterator[Tensor]:
    normalizer = Normalizer(normalize)
    for crop in crops:
        tensor = np.empty((1, 3, *crop.shape[:2]), np.float32)
        normalizer(crop[np.newaxis], tensor)
        yield tensor


def main() -> None:
    """Quantize what the command line names."""
    owner, network, samples, numbers, target = sys.argv[1:]
    die_with(int(owner))
    onnxruntime = importlib.import_module("onnxruntime")
    quantization = importlib.import_module("onnxruntime.quantization")
    shapes = importlib.import_module("onnxruntime.quantization.shape_inference")

    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())
    shape, scale, mean, std = json.loads(numbers)
    crops = np.memmap(samples, np.uint8, "r", shape=tuple(shape))
    ready = Path(samples).with_name("ready.onnx")
    # Symbolic shapes need sympy, and tell nothing of a network whose shapes are known.
    shapes.quant_pre_process(network, str(ready), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(ready),
        target,
        _Samples(name, _tensors(crops, Normalize(scale, tuple(mean), tuple(std)))),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=False,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod.MinMax,
    )
