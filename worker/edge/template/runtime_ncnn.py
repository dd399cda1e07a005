"""The network in ncnn: `pip install ncnn numpy pillow`."""

from __future__ import annotations

import json
from pathlib import Path

import ncnn
import numpy as np
import numpy.typing as npt

__all__ = ["Network"]


class Network:
    """model.param and model.bin, loaded."""

    def __init__(self, directory: Path) -> None:
        model = json.loads((directory / "model.json").read_text("utf-8"))
        half = model["precision"] == "float16"
        self._net = ncnn.Net()
        self._net.opt.use_fp16_packed = self._net.opt.use_fp16_storage = half
        # Sums in 16 bits, which some phones can, cost two digits.
        self._net.opt.use_fp16_arithmetic = False
        for load, name in (
            (self._net.load_param, "model.param"),
            (self._net.load_model, "model.bin"),
        ):
            if load(str(directory / name)) != 0:
                raise OSError(f"ncnn cannot load {directory / name}")

    def run(self, tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Compute `[C]` of `[1, 3, H, W] float32`."""
        extractor = self._net.create_extractor()
        extractor.input("in0", ncnn.Mat(tensor[0]))
        status, answer = extractor.extract("out0")
        if status != 0:
            raise ValueError(f"ncnn cannot compute the network (error {status})")
        return np.array(answer).reshape(-1)
