"""Small real networks in Paddle's format whose right answers are known: they tell colours apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from worker.device import CPU
from worker.predictor.backends.devices import import_paddle

__all__ = ["COLOURS", "SIDE", "Ending", "export_colours"]

COLOURS = ("red", "green", "blue")
SIDE = 16

Ending = Literal["sigmoid", "softmax", "logits", "argmax", "features", "one"]


def export_colours(directory: Path, ending: Ending, **post: Any) -> Path:
    """Export a network that answers how red, green and blue an image is, each for itself.

    Its logits are 8 times a colour's mean (0 to 1) minus 4: of a yellow image 4, 4, -4.

    Args:
        ending: what comes after the logits; `features` are no scores of classes but a map of them,
            `one` is the sigmoid of red alone.
        post: the section `PostProcess`.
    """
    paddle = import_paddle(CPU)

    class Network(paddle.nn.Layer):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.head = paddle.nn.Linear(3, 3)
            self.head.weight.set_value(8 * np.eye(3, dtype=np.float32))
            self.head.bias.set_value(np.full(3, -4, np.float32))

        def forward(self, images: Any) -> Any:
            logits = self.head(images.mean(axis=[2, 3]))
            match ending:
                case "sigmoid":
                    return paddle.nn.functional.sigmoid(logits)
                case "softmax":
                    return paddle.nn.functional.softmax(logits)
                case "argmax":
                    return paddle.argmax(logits, axis=1)
                case "features":
                    return paddle.nn.functional.sigmoid(images * logits[:, :, None, None])
                case "one":
                    return paddle.nn.functional.sigmoid(logits[:, :1])
                case _:
                    return logits

    network = Network()
    network.eval()
    images = paddle.static.InputSpec([None, 3, SIDE, SIDE], "float32", name="x")
    directory.mkdir(parents=True, exist_ok=True)
    static = paddle.jit.to_static(network, input_spec=[images], full_graph=True)
    paddle.jit.save(static, str(directory / "inference"))
    config = {
        "Global": {"model_name": f"colours, {ending}"},
        "PreProcess": {
            "transform_ops": [
                {"ResizeImage": {"size": SIDE}},
                {"NormalizeImage": {"mean": 0, "std": 1}},
                {"ToCHWImage": None},
            ]
        },
        "PostProcess": post,
    }
    (directory / "inference.yml").write_text(yaml.safe_dump(config), "utf-8")
    return directory
