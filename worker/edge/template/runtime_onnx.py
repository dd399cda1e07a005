"""The network in ONNX Runtime: `pip install onnxruntime numpy pillow`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

__all__ = ["Network"]


class Network:
    """model.onnx, loaded."""

    def __init__(self, directory: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(
            str(directory / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        (self._input,) = (one.name for one in self._session.get_inputs())

    def run(self, tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Compute `[C]` of `[1, 3, H, W] float32`."""
        (answer,) = self._session.run(None, {self._input: tensor})
        return answer.reshape(-1)
