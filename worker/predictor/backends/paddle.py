"""PaddlePaddle Inference: oneDNN on CPU, CUDA on GPU.

Paddle holds the GIL for all of `predictor.run()` on CPU and GPU, and a native fault takes the
process with it: the worker therefore uses this from a predictor process only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from worker.device import CPU, Device
from worker.errors import ModelError
from worker.kernels import Precision
from worker.model import ModelSpec
from worker.predictor.backends import own_sentence
from worker.predictor.backends.devices import (
    check_device,
    configure_device,
    import_paddle,
    probe_build,
)

__all__ = ["PaddleBackend", "paddle_version"]


class PaddleBackend:
    """A network in Paddle's inference format.

    Args:
        device: a single one.
        threads: CPU threads of the math library.
        onednn: whether oneDNN computes on CPU, or Paddle's own kernels: several times slower, and
            never wrong.
        precision: bf16 is for oneDNN and GPUs, fp16 for GPUs.
        stream: of CUDA, as Paddle wraps it: where it computes; None leaves it to Paddle.

    Attributes:
        name: `paddle` or `paddle+onednn`, with `+fp16` or `+bf16`.

    Raises:
        ModelError: the device is not available, Paddle cannot load the files, or the network's
            inputs and outputs are not those of a classifier.
    """

    def __init__(
        self,
        spec: ModelSpec,
        device: Device,
        threads: int,
        *,
        onednn: bool = True,
        precision: Precision = "fp32",
        stream: object | None = None,
    ) -> None:
        self.name = "paddle+onednn" if onednn and device.kind == "cpu" else "paddle"
        if precision != "fp32":
            self.name += f"+{precision}"
        paddle = import_paddle(device)
        check_device(device, probe_build(paddle))
        try:
            config = _configure(paddle.inference, spec)
            configure_device(config, device, threads, onednn=onednn, precision=precision)
            if stream is not None:
                config.set_exec_stream(stream)
            self._predictor = paddle.inference.create_predictor(config)
        except Exception as error:
            # Paddle raises Python's own exceptions for its kinds of errors, from IndexError to
            # SystemError.
            raise ModelError(
                f"Paddle cannot load {spec.program} with {spec.params.name} on {device}: "
                f"{own_sentence(error)}"
            ) from error
        inputs, outputs = self._predictor.get_input_names(), self._predictor.get_output_names()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{spec.directory} has inputs {inputs} and outputs {outputs}; "
                "a classifier has one of each"
            )
        self._input = self._predictor.get_input_handle(inputs[0])
        self._output = self._predictor.get_output_handle(outputs[0])

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Compute the network.

        Args:
            batch: `[N, 3, H, W] float32`, normalised.

        Returns:
            `[N, C] float32`.
        """
        self._input.reshape(list(batch.shape))
        self._input.copy_from_cpu(batch)
        return self._answer()

    def run_tensor(self, batch: object) -> npt.NDArray[np.float32]:
        """Compute the network on a tensor that is on its device already; it is not copied.

        Args:
            batch: a `paddle.Tensor`, `[N, 3, H, W] float32`, normalised.

        Returns:
            `[N, C] float32`.
        """
        self._input.share_external_data(batch)
        return self._answer()

    def _answer(self) -> npt.NDArray[np.float32]:
        self._predictor.run()
        scores: npt.NDArray[np.float32] = self._output.copy_to_cpu()
        return scores


def paddle_version() -> str:
    """Find Paddle's version: other kernels may answer otherwise.

    Returns:
        Such as `3.3.1`.
    """
    return str(import_paddle(CPU).__version__)


def _configure(
    inference: Any,  # noqa: ANN401 - a module without types
    spec: ModelSpec,
) -> Any:  # noqa: ANN401
    config = inference.Config(str(spec.program), str(spec.params))
    config.disable_glog_info()
    if spec.program.suffix == ".json":
        # Without both, enable_memory_optim() fails on inference.json with "Not find predictor_id".
        config.enable_new_ir(True)
        config.enable_new_executor(True)
    config.enable_memory_optim()
    return config
