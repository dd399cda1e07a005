"""EfficientNet-Lite0 in Paddle, for the weights of the TensorFlow original.

EfficientNet without squeeze-and-excitation and with ReLU6, 4.7 million parameters, 224 x 224 input.
Source: Tan & Le, EfficientNet (ICML 2019), and TensorFlow's `efficientnet/lite` models, whose
'SAME' padding is uneven for stride 2 and whose batch norm has an epsilon of 1e-3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import paddle
from paddle import nn

__all__ = ["EfficientNetLite0", "load_weights"]

_EPSILON = 1e-3


@dataclass(frozen=True, slots=True)
class _Group:
    """Blocks of one shape; only the first has the stride and changes the channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int


_GROUPS = (
    _Group(1, 3, 1, 1, 32, 16),
    _Group(2, 3, 2, 6, 16, 24),
    _Group(2, 5, 2, 6, 24, 40),
    _Group(3, 3, 2, 6, 40, 80),
    _Group(3, 5, 1, 6, 80, 112),
    _Group(4, 5, 2, 6, 112, 192),
    _Group(1, 3, 1, 6, 192, 320),
)


def _halved(size: int, stride: int) -> int:
    """The output size of a 'SAME' convolution: `size / stride`, rounded up."""
    return -(-size // stride)


class _SameConv(nn.Layer):  # type: ignore[misc]
    """A convolution without bias, padded as TensorFlow's 'SAME' does for a known input size."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        size: int,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        padding = max((_halved(size, stride) - 1) * stride + kernel - size, 0)
        before, after = padding // 2, padding - padding // 2
        # Uneven padding needs a layer of its own; even padding is the convolution's.
        self.pad = None if before == after else nn.Pad2D([before, after, before, after])
        self.conv = nn.Conv2D(
            channels_in,
            channels_out,
            kernel,
            stride,
            padding=before if before == after else 0,
            groups=groups,
            bias_attr=False,
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """`[N, channels_in, S, S]` to `[N, channels_out, ceil(S / stride), ...]`."""
        return self.conv(x if self.pad is None else self.pad(x))


class _Block(nn.Layer):  # type: ignore[misc]
    """Inverted residual: expand, convolve each channel, project; add the input if it fits."""

    def __init__(self, group: _Group, *, first: bool, size: int) -> None:
        super().__init__()
        channels_in = group.channels_in if first else group.channels_out
        stride = group.stride if first else 1
        middle = channels_in * group.expansion
        self.residual = stride == 1 and channels_in == group.channels_out
        self.expands = group.expansion != 1
        self.act = nn.ReLU6()
        if self.expands:
            self.expand_conv = _SameConv(channels_in, middle, 1, size)
            self.bn0 = nn.BatchNorm2D(middle, epsilon=_EPSILON)
        self.depthwise_conv = _SameConv(
            middle, middle, group.kernel, size, stride=stride, groups=middle
        )
        self.bn1 = nn.BatchNorm2D(middle, epsilon=_EPSILON)
        self.project_conv = _SameConv(middle, group.channels_out, 1, _halved(size, stride))
        self.bn2 = nn.BatchNorm2D(group.channels_out, epsilon=_EPSILON)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """`[N, C, S, S]` to `[N, C', S', S']`."""
        y = x
        if self.expands:
            y = self.act(self.bn0(self.expand_conv(y)))
        y = self.act(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        return y + x if self.residual else y


class EfficientNetLite0(nn.Layer):  # type: ignore[misc]
    """The whole classifier, softmax included, as Paddle's inference models are."""

    def __init__(self) -> None:
        super().__init__()
        size = 224
        self.act = nn.ReLU6()
        self.conv_stem = _SameConv(3, 32, 3, size, stride=2)
        self.bn0 = nn.BatchNorm2D(32, epsilon=_EPSILON)
        size = _halved(size, 2)
        blocks = []
        for group in _GROUPS:
            for index in range(group.repeats):
                blocks.append(_Block(group, first=index == 0, size=size))
                if index == 0:
                    size = _halved(size, group.stride)
        self.blocks = nn.LayerList(blocks)
        self.conv_head = _SameConv(320, 1280, 1, size)
        self.bn1 = nn.BatchNorm2D(1280, epsilon=_EPSILON)
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(1280, 1000)
        self.softmax = nn.Softmax(-1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Compute the probabilities of the classes.

        Args:
            x: `[N, 3, 224, 224] float32`, normalised.

        Returns:
            `[N, 1000] float32`, 0 to 1.
        """
        x = self.act(self.bn0(self.conv_stem(x)))
        for block in self.blocks:
            x = block(x)
        x = self.act(self.bn1(self.conv_head(x)))
        return self.softmax(self.fc(self.flatten(self.pool(x))))


def load_weights(model: EfficientNetLite0, weights: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Copy the tensors of the PyTorch port's state dict into the model.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape.
    """
    converted = dict(_renamed(name, array) for name, array in weights.items() if _is_used(name))
    parameters = model.state_dict()
    if converted.keys() != parameters.keys():
        differing = sorted(converted.keys() ^ parameters.keys())
        raise ValueError(f"the weights do not fit EfficientNet-Lite0: {', '.join(differing[:5])}")
    for name, parameter in parameters.items():
        if tuple(parameter.shape) != converted[name].shape:
            raise ValueError(
                f"{name} has shape {converted[name].shape} instead of {tuple(parameter.shape)}"
            )
        parameter.set_value(converted[name])


def _is_used(name: str) -> bool:
    return not name.endswith("num_batches_tracked")


def _renamed(name: str, array: npt.NDArray[np.generic]) -> tuple[str, npt.NDArray[np.generic]]:
    """PyTorch's name and layout to Paddle's."""
    *path, owner, leaf = (part.removeprefix("_") for part in name.split("."))
    if owner == "fc":
        # PyTorch keeps a linear layer's weight as [out, in], Paddle as [in, out].
        array = array.T
    elif owner.startswith("bn"):
        leaf = {"running_mean": "_mean", "running_var": "_variance"}.get(leaf, leaf)
    else:
        owner = f"{owner}.conv"
    return ".".join([*path, owner, leaf]), np.ascontiguousarray(array)
