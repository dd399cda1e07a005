"""ONNX Runtime on CPU; it releases the GIL while it computes."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.kernels import Precision

__all__ = ["OnnxRuntimeBackend"]


SPIN_MICROSECONDS, SPIN_BACKOFF = "20", "8"
"""How long a thread spins for the next operator, and the most pauses between two looks. An operator
of a small network takes less. With the library's own, which spin for a millisecond, two threads
take twice the time of one while other programs want their cores."""


class OnnxRuntimeBackend:
    """A network as an ONNX file.

    Args:
        threads: CPU threads within an operator.
        solo: whether nothing else is computed meanwhile.
        precision: fp32; it has kernels for nothing else on CPU.

    Attributes:
        name: `onnxruntime`.

    Raises:
        ValueError: another precision.
        Exception: whatever the library raises for a network that it does not support.
    """

    name = "onnxruntime"

    def __init__(
        self, model: Path, threads: int, *, solo: bool = False, precision: Precision = "fp32"
    ) -> None:
        if precision != "fp32":
            raise ValueError(f"ONNX Runtime does not compute with {precision} on CPU")
        library = importlib.import_module(self.name)
        options = library.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin between operators are faster, but keep cores from the other slots and
        # from decoding (PP-LCNet_x1_0 on 2 threads, beside other load: 7.5 ms of CPU an image, or
        # 4.7). Between runs they never spin.
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(solo)))
        options.add_session_config_entry("session.intra_op.spin_duration_us", SPIN_MICROSECONDS)
        options.add_session_config_entry("session.intra_op.spin_backoff_max", SPIN_BACKOFF)
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 3  # errors
        self._session = library.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        (self._input,) = (each.name for each in self._session.get_inputs())

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Compute the network.

        Args:
            batch: `[N, 3, H, W] float32`, normalised.

        Returns:
            `[N, C] float32`.
        """
        (scores,) = self._session.run(None, {self._input: batch})
        answer: npt.NDArray[np.float32] = scores
        return answer
