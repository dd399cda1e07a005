"""The network that is trained: a backbone from the inference format, and a head of one's own.

Import it after `import_paddle`, which prepares the environment that Paddle finds.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import paddle
from paddle import nn

from worker.training.arrays import Arrays

__all__ = ["Network"]

Floats = npt.NDArray[np.float32]


class Network:
    """A backbone and a linear head.

    Args:
        backbone: the network without its head, a path without its suffixes.
        features: their number.
        classes: their number.

    Attributes:
        trainable: the backbone's weights that are trained, always in the same order. They are kept
            by their places: a program that is loaded gives them other names.
    """

    def __init__(self, backbone: Path, features: int, classes: int) -> None:
        self._backbone = paddle.jit.load(str(backbone))
        self.head = nn.Linear(features, classes)
        self.trainable = [each for each in self._backbone.parameters() if not each.stop_gradient]

    def features(self, tensor: Floats) -> Any:  # noqa: ANN401 - Paddle's tensor
        """Compute features, without gradients.

        Returns:
            `[N, F] float32`.
        """
        self._backbone.eval()
        with paddle.no_grad():
            return self._backbone(paddle.to_tensor(tensor))

    def train_logits(self, tensor: Floats) -> Any:  # noqa: ANN401 - Paddle's tensor
        """Compute logits with gradients.

        Returns:
            `[N, C] float32`.
        """
        # A program that was loaded gives no gradients in the mode for evaluation. Its batch
        # normalisation keeps the statistics that it came with in either mode.
        self._backbone.train()
        with warnings.catch_warnings():
            # Paddle's own code asks a value for its place while it makes the backward program.
            warnings.filterwarnings("ignore", message="Tensor do not have 'place' interface")
            return self.head(self._backbone(paddle.to_tensor(tensor)))

    def restore(self, arrays: Arrays) -> None:
        """Set the head's weights, and the backbone's if they are there."""
        self.head.weight.set_value(arrays["head.weight"])
        self.head.bias.set_value(arrays["head.bias"])
        for place, parameter in enumerate(self.trainable):
            if (name := f"backbone.{place}") in arrays:
                parameter.set_value(arrays[name])

    def arrays(self) -> Arrays:
        """Copy all weights that are trained.

        Returns:
            What `restore` reads.
        """
        kept = {f"backbone.{place}": each.numpy() for place, each in enumerate(self.trainable)}
        kept |= {"head.weight": self.head.weight.numpy(), "head.bias": self.head.bias.numpy()}
        return kept

    def save(self, to: Path, input_size: Sequence[int]) -> None:
        """Write the network with a softmax in the inference format.

        Args:
            to: a path without suffixes.
            input_size: `(H, W)`.
        """
        self._backbone.eval()
        whole = _Classifier(self._backbone, self.head)
        whole.eval()
        images = paddle.static.InputSpec([None, 3, *input_size], "float32", name="x")
        paddle.jit.save(paddle.jit.to_static(whole, [images], full_graph=True), str(to))


class _Classifier(nn.Layer):  # type: ignore[misc]
    def __init__(self, backbone: Any, head: Any) -> None:  # noqa: ANN401 - Paddle's layers
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.softmax = nn.Softmax(-1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """`[N, 3, H, W]` to scores `[N, C]`."""
        return self.softmax(self.head(self.backbone(x)))
