"""The network in OpenVINO: `pip install openvino numpy pillow`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino

__all__ = ["Network"]


class Network:
    """model.xml and model.bin, loaded for the CPU; other devices by their OpenVINO name."""

    def __init__(self, directory: Path, device: str = "CPU") -> None:
        # Without the hint, processors that can compute in bfloat16 do, which costs two digits.
        self._model = openvino.Core().compile_model(
            str(directory / "model.xml"), device, {"INFERENCE_PRECISION_HINT": "f32"}
        )

    def run(self, tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Compute `[C]` of `[1, 3, H, W] float32`."""
        return self._model([tensor])[0].reshape(-1)
