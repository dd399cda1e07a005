"""PaddlePaddle with normalisation on the device: crops are uploaded as they are.

Paddle's own operators normalise them, on the stream on which the network then computes, so that
neither waits for the processor. A slot is a process, and the stream is the slot's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from worker.device import Device
from worker.kernels import Precision
from worker.model import ModelSpec
from worker.predictor.backends.devices import check_device, import_paddle, probe_build
from worker.predictor.backends.paddle import PaddleBackend
from worker.predictor.normalization import channel_terms

__all__ = ["PaddleCropBackend"]


class PaddleCropBackend:
    """A network in Paddle's inference format that takes crops.

    It becomes the device of this process, for all of Paddle's operators.

    Args:
        device: a single one: a GPU, or the CPU, where this gains nothing.
        threads: as for `PaddleBackend`.

    Attributes:
        name: as of `PaddleBackend`.

    Raises:
        ModelError: as of `PaddleBackend`.
        Exception: whatever Paddle raises where it cannot normalise there.
    """

    def __init__(
        self, spec: ModelSpec, device: Device, threads: int, precision: Precision = "fp32"
    ) -> None:
        self._paddle = import_paddle(device)
        check_device(device, probe_build(self._paddle))
        gpu = device.kind == "gpu"
        stream = self._stream(device) if gpu else None
        self._network = PaddleBackend(
            spec, device, threads, onednn=False, precision=precision, stream=stream
        )
        self.name = self._network.name
        self._place = self._paddle.CUDAPlace(device.index) if gpu else self._paddle.CPUPlace()
        self._alpha, self._beta = map(self._upload, channel_terms(spec.normalize))

    def run_crops(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Normalise crops on the device, and compute the network.

        Args:
            crops: `[N, H, W, 3] uint8`.

        Returns:
            `[N, C] float32`.
        """
        with self._paddle.no_grad():
            # PaddleX's arithmetic, `x * (scale / std) - mean / std` in float32.
            batch = self._upload(crops).astype("float32") * self._alpha - self._beta
            # Held until the answer is there, which ends all use of its memory.
            tensor = batch.transpose([0, 3, 1, 2]).contiguous()
        return self._network.run_tensor(tensor)

    def _upload(self, values: npt.NDArray[Any]) -> Any:  # noqa: ANN401 - a tensor of Paddle's
        return self._paddle.to_tensor(values, place=self._place)

    def _stream(self, device: Device) -> object:
        self._paddle.set_device(str(device))
        # Paddle's own for this device: its operators and the network then follow one another.
        stream: object = self._paddle.device.current_stream(str(device)).stream_base
        return stream
