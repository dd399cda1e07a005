"""OpenVINO on CPU; it releases the GIL while it computes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.kernels import Precision
from worker.runtime.telemetry import import_openvino

__all__ = ["OpenVinoBackend"]

_PRECISION: Mapping[Precision, str] = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}


class OpenVinoBackend:
    """A network as an ONNX file.

    Args:
        threads: CPU threads.
        solo: whether nothing else is computed meanwhile, which makes no difference here.
        precision: fp32, or bf16 where the processor has it.

    Attributes:
        name: `openvino`, or `openvino+bf16`.

    Raises:
        Exception: whatever the library raises for a network that it does not support.
    """

    def __init__(
        self, model: Path, threads: int, *, solo: bool = False, precision: Precision = "fp32"
    ) -> None:
        del solo
        self.name = "openvino" if precision == "fp32" else f"openvino+{precision}"
        core = import_openvino().Core()
        options = {
            "INFERENCE_NUM_THREADS": threads,
            # One batch at a time, on all of its threads.
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # Otherwise each process pins its threads to the first cores, and all slots share those.
            "ENABLE_CPU_PINNING": False,
            # Otherwise bfloat16 on processors that have it, which costs two digits.
            "INFERENCE_PRECISION_HINT": _PRECISION[precision],
        }
        compiled = core.compile_model(str(model), "CPU", options)
        if len(compiled.outputs) != 1:
            raise ValueError(f"the network has {len(compiled.outputs)} outputs")
        self._request = compiled.create_infer_request()

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Compute the network.

        Args:
            batch: `[N, 3, H, W] float32`, normalised.

        Returns:
            `[N, C] float32`.
        """
        # Copied, since the next run's answer is written to the same memory.
        scores: npt.NDArray[np.float32] = self._request.infer([batch], share_inputs=True)[0].copy()
        return scores
