"""Cuts a network before its head: what is left answers with features instead of scores.

In a process of its own: a program that is loaded once more, or run with another target, crashes
Paddle 3.3, so this process loads, saves and ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.device import CPU
from worker.errors import ModelError
from worker.predictor.backends import own_sentence
from worker.predictor.backends.devices import import_paddle
from worker.training.process.serving import Owner, serve

__all__ = ["main"]

_AFTER_HEAD = frozenset(
    {"pd_op.softmax", "pd_op.sigmoid", "pd_op.scale", "pd_op.reshape", "pd_op.flatten"}
)
"""What may follow the head: all of it is cut off with the head."""


def main() -> None:
    """Answer `{model, to}` with `{features, classes}`."""
    serve(_cut)


def _cut(request: Mapping[str, Any], _: Owner) -> dict[str, object]:
    """Save the network of the directory `model`, without its head, as `to` with two suffixes."""
    directory, to = Path(request["model"]), Path(request["to"])
    paddle = import_paddle(CPU)
    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    try:
        program, _names, targets = paddle.static.load_inference_model(
            str(directory / "inference"), executor
        )
    except Exception as error:
        raise ModelError(
            f"Paddle cannot load {directory} for training: {own_sentence(error)}"
        ) from error
    if len(targets) != 1:
        raise ModelError(f"{directory} answers with {len(targets)} tensors; a classifier with one")
    features, classes = _find_head(targets[0], directory)
    width = features.shape[-1]
    if len(features.shape) != 2 or width <= 0:
        raise ModelError(
            f"{directory}: the input of its last matmul has shape {list(features.shape)}, and not "
            "one row of features for each image"
        )
    inputs = [op.result(0) for op in program.global_block().ops if op.name() in _INPUTS]
    if len(inputs) != 1:
        raise ModelError(f"{directory} has {len(inputs)} inputs; a classifier has one")
    paddle.static.save_inference_model(str(to), inputs, [features], executor, program=program)
    return {"is": "cut", "features": width, "classes": classes}


_INPUTS = ("pd_op.feed", "pd_op.data")


def _find_head(scores: Any, directory: Path) -> tuple[Any, int]:  # noqa: ANN401 - Paddle's values
    """Go back from the scores to the last matmul.

    Returns:
        Its input, and the number of its classes.
    """
    value = scores
    while True:
        op = value.get_defining_op()
        name = op.name()
        if name == "pd_op.matmul" and _is_parameter(op.operand_source(1)):
            return op.operand_source(0), int(value.shape[-1])
        is_bias = name == "pd_op.add" and _is_parameter(op.operand_source(1))
        if name not in _AFTER_HEAD and not is_bias:
            raise ModelError(
                f"{directory} does not end in a linear layer that could be replaced, but in "
                f"{name.removeprefix('pd_op.')}: choose a model whose last layer is one, such as "
                "PP-LCNet_x1_0"
            )
        value = op.operand_source(0)


def _is_parameter(value: Any) -> bool:  # noqa: ANN401 - Paddle's value
    return bool(value.get_defining_op().name() == "builtin.parameter")
