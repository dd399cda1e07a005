"""What a phase trains: the head on features that are known, or the whole network on crops."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import paddle
from paddle import nn

from worker.training.arrays import Arrays
from worker.training.process.network import Network
from worker.training.process.rows import Indices, Rows

__all__ = ["Head", "Subject", "WholeNetwork"]

Floats = npt.NDArray[np.float32]

LEAST_SPREAD = 0.05
"""Of a feature, in shares of that of all: dividing by less would blow up what is only rounding."""


class Subject(Protocol):
    """Weights that are trained."""

    @property
    def parameters(self) -> list[Any]:
        """What the optimizer changes, always in the same order."""
        ...

    def train_logits(self, rows: Indices) -> Any:  # noqa: ANN401 - Paddle's tensor
        """Logits `[N, C]` of some images, with gradients."""
        ...

    def logits(self, rows: Indices) -> Any:  # noqa: ANN401 - Paddle's tensor
        """The same without gradients."""
        ...

    def arrays(self) -> Arrays:
        """The weights as `Network.restore` reads them."""
        ...

    def restore(self, arrays: Arrays) -> None:
        """Set the weights."""
        ...


class Head:
    """A new head, on features that are scaled to a mean of 0 and a deviation of 1.

    So one learning rate suits all networks. The scaling becomes part of the weights at the end: a
    layer with tensors of its own, which are no parameters, could not be saved.

    Args:
        seed: of the weights that it begins with.
    """

    def __init__(self, rows: Rows, classes: int, seed: int) -> None:
        self._rows = rows
        features = rows.features[rows.of("train")]
        mean = features.mean(axis=0, dtype=np.float64)
        variance = features.var(axis=0, dtype=np.float64)
        self._mean = mean
        self._scale = 1 / np.sqrt(variance + LEAST_SPREAD**2 * variance.mean() + 1e-12)
        width = rows.features.shape[1]
        self._linear = nn.Linear(width, classes)
        random = np.random.default_rng([seed, 1])
        weight = random.standard_normal((width, classes)) / np.sqrt(width)
        self._linear.weight.set_value(weight.astype(np.float32))
        self._linear.bias.set_value(np.zeros(classes, np.float32))

    @property
    def parameters(self) -> list[Any]:
        """See `Subject`."""
        return list(self._linear.parameters())

    def train_logits(self, rows: Indices) -> Any:  # noqa: ANN401 - see `Subject`
        """See `Subject`."""
        scaled = (self._rows.features[rows] - self._mean) * self._scale
        return self._linear(paddle.to_tensor(scaled.astype(np.float32)))

    def logits(self, rows: Indices) -> Any:  # noqa: ANN401 - see `Subject`
        """See `Subject`."""
        with paddle.no_grad():
            return self.train_logits(rows)

    def arrays(self) -> Arrays:
        """See `Subject`: for features as the backbone gives them."""
        weight = self._linear.weight.numpy().astype(np.float64) * self._scale[:, None]
        bias = self._linear.bias.numpy().astype(np.float64) - self._mean @ weight
        return {
            "head.weight": weight.astype(np.float32),
            "head.bias": bias.astype(np.float32),
        }

    def restore(self, arrays: Arrays) -> None:
        """See `Subject`."""
        weight = arrays["head.weight"].astype(np.float64)
        bias = arrays["head.bias"] + self._mean @ weight
        self._linear.weight.set_value((weight / self._scale[:, None]).astype(np.float32))
        self._linear.bias.set_value(bias.astype(np.float32))


class WholeNetwork:
    """Backbone and head, from where the head's own training ended."""

    def __init__(self, rows: Rows, network: Network) -> None:
        self._rows = rows
        self._network = network
        self.arrays = network.arrays
        self.restore = network.restore

    @property
    def parameters(self) -> list[Any]:
        """See `Subject`."""
        return [*self._network.trainable, *self._network.head.parameters()]

    def train_logits(self, rows: Indices) -> Any:  # noqa: ANN401 - see `Subject`
        """See `Subject`."""
        return self._network.train_logits(self._rows.tensors(rows))

    def logits(self, rows: Indices) -> Any:  # noqa: ANN401 - see `Subject`
        """See `Subject`."""
        with paddle.no_grad():
            return self._network.head(self._network.features(self._rows.tensors(rows)))
