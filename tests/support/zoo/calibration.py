"""Makes a network of random weights answer like a trained one: peaked, and differently each time.

Untrained networks answer all images alike, which would hide what goes wrong on the way to them.
So batch norms take their statistics from photographs, and the last layer is scaled on them. What
was measured can be kept and applied again, which makes the same weights on any machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import paddle

from tests.support.zoo.architectures import logits_of

__all__ = ["Measured", "apply", "calibrate"]

SPREAD = 3.0
"""Standard deviation of the logits over photographs and classes, close to a trained network's."""

Tensor = npt.NDArray[np.float32]
Measured = dict[str, npt.NDArray[Any]]


def calibrate(network: Any, classes: int, images: Tensor) -> Measured:
    """Measure and apply; the network is left in evaluation mode.

    Args:
        images: `[N, 3, H, W] float32`, normalised.

    Returns:
        what was measured, for `apply`.
    """
    measured: Measured = {}
    with paddle.no_grad():
        _measure_norms(network, images)
        for index, norm in enumerate(_norms(network)):
            measured[f"mean_{index}"] = norm._mean.numpy()
            measured[f"variance_{index}"] = norm._variance.numpy()
        network.eval()
        logits = np.concatenate([_logits(network, image[None]) for image in images])
        measured["logits"] = logits.mean(0)
        spread = max(float((logits - logits.mean(0)).std()), 1e-12)
        measured["gain"] = np.array(SPREAD / spread)
        apply(network, classes, measured)
    return measured


def apply(network: Any, classes: int, measured: Measured) -> None:
    """Give a network, fresh from its seed, the statistics and the head that were measured."""
    for index, norm in enumerate(_norms(network)):
        norm._mean.set_value(measured[f"mean_{index}"])
        norm._variance.set_value(measured[f"variance_{index}"])
    head, gain = _head(network, classes), float(measured["gain"])
    head.weight.set_value((head.weight.numpy() * gain).astype(np.float32))
    if head.bias is not None:
        bias = (head.bias.numpy() - measured["logits"]) * gain
        head.bias.set_value(bias.astype(np.float32))
    network.eval()


def _measure_norms(network: Any, images: Tensor) -> None:
    norms = _norms(network)
    if not norms:
        return
    network.train()
    for layer in network.sublayers():
        if "Drop" in type(layer).__name__:
            layer.training = False
    momenta = [norm._momentum for norm in norms]
    for norm in norms:
        norm._momentum = 0.0  # the statistics of this one batch, nothing of those before
    network(paddle.to_tensor(images))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm._momentum = momentum


def _norms(network: Any) -> list[Any]:
    return [
        layer
        for layer in network.sublayers()
        if "BatchNorm" in type(layer).__name__ and getattr(layer, "_mean", None) is not None
    ]


def _head(network: Any, classes: int) -> Any:
    """The last layer with one output per class: linear, or a convolution of one pixel."""
    heads = [
        layer
        for layer in network.sublayers()
        if (type(layer).__name__ == "Linear" and layer.weight.shape[-1] == classes)
        or (type(layer).__name__ == "Conv2D" and layer.weight.shape[0] == classes)
    ]
    return heads[-1]


def _logits(network: Any, images: Tensor) -> Tensor:
    answer: Tensor = logits_of(network(paddle.to_tensor(images))).numpy()
    return answer
