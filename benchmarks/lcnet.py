"""PP-LCNet_x1_0 after its description (arXiv 2109.15099), untrained: for speed, not answers."""

from __future__ import annotations

from typing import Any

__all__ = ["pp_lcnet"]

_BLOCKS = (
    # Kernel, channels out, stride, squeeze and excitation.
    (3, 32, 1, False),
    (3, 64, 2, False),
    (3, 64, 1, False),
    (3, 128, 2, False),
    (3, 128, 1, False),
    (3, 256, 2, False),
    *(5 * [(5, 256, 1, False)]),
    (5, 512, 2, True),
    (5, 512, 1, True),
)


def pp_lcnet() -> Any:  # noqa: ANN401 - Paddle has no types here
    """Make the network.

    Returns:
        A layer from `[N, 3, 224, 224] float32` to `[N, 1000]` logits.
    """
    from paddle import nn  # noqa: PLC0415

    def convolution(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> list[Any]:
        padding = kernel // 2
        layer = nn.Conv2D(inputs, outputs, kernel, stride, padding, groups=groups, bias_attr=False)
        return [layer, nn.BatchNorm2D(outputs), nn.Hardswish()]

    class Excitation(nn.Layer):  # type: ignore[misc]
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.gate = nn.Sequential(
                nn.AdaptiveAvgPool2D(1),
                nn.Conv2D(channels, channels // 4, 1),
                nn.ReLU(),
                nn.Conv2D(channels // 4, channels, 1),
                nn.Hardsigmoid(),
            )

        def forward(self, x: Any) -> Any:  # noqa: ANN401
            return x * self.gate(x)

    layers = convolution(3, 16, 3, 2, 1)
    channels = 16
    for kernel, outputs, stride, squeezed in _BLOCKS:
        layers += convolution(channels, channels, kernel, stride, channels)
        layers += [Excitation(channels)] if squeezed else []
        layers += convolution(channels, outputs, 1, 1, 1)
        channels = outputs
    last = nn.Conv2D(channels, 1280, 1, bias_attr=False)
    head = [nn.AdaptiveAvgPool2D(1), last, nn.Hardswish(), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers, *head)
