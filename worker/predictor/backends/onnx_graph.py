"""Changes of a converted network: crops in, normalised by the graph itself; float16 inside.

The result is an ONNX graph like any other: the library that runs it has the device compute the new
nodes too.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from worker.model import Normalize
from worker.predictor.normalization import channel_terms

__all__ = ["CROPS", "GRAPH_VERSION", "PLAIN_FORM", "Form", "change"]

CROPS = "crops"
"""The input's name where a network takes crops, `[N, H, W, 3] uint8`."""

GRAPH_VERSION = 1
"""Raise it when graphs are changed in another way: files made before are not used then."""


@dataclass(frozen=True, slots=True)
class Form:
    """What is changed in a network.

    Attributes:
        crops: it takes `[N, H, W, 3] uint8` and normalises them, in place of normalised
            `[N, 3, H, W] float32`.
        half: it computes with float16, but for normalisation and what it answers.
    """

    crops: bool = False
    half: bool = False

    @property
    def suffix(self) -> str:
        """What a file's name says of it."""
        parts = [name for name, there in (("crops", self.crops), ("fp16", self.half)) if there]
        return "".join(f"-{part}{GRAPH_VERSION}" for part in parts)


PLAIN_FORM = Form()
"""The network as it was converted."""


def change(model: bytes, form: Form, normalize: Normalize, input_size: tuple[int, int]) -> bytes:
    """Change a network.

    Args:
        model: ONNX, with one input, `[N, 3, H, W] float32`.
        normalize: what happens to crops.
        input_size: `(H, W)` in pixels.

    Returns:
        ONNX again.

    Raises:
        ValueError: the network has more than one input.
    """
    onnx = importlib.import_module("onnx")
    proto = onnx.load_from_string(model)
    if form.half:
        half = importlib.import_module("onnxruntime.transformers.float16")
        proto = half.convert_float_to_float16(proto, keep_io_types=True)
    if form.crops:
        _take_crops(onnx, proto, normalize, input_size)
    changed: bytes = proto.SerializeToString()
    return changed


def _take_crops(
    onnx: Any,  # noqa: ANN401 - a module without types
    proto: Any,  # noqa: ANN401
    normalize: Normalize,
    input_size: tuple[int, int],
) -> None:
    graph, helper, kinds = proto.graph, onnx.helper, onnx.TensorProto
    constants = {each.name for each in graph.initializer}
    names = [each.name for each in graph.input if each.name not in constants]
    if len(names) != 1:
        raise ValueError(f"the network has {len(names)} inputs")
    (network_input,) = names
    alpha, beta = channel_terms(normalize)
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name)
        for name, values in (("crops_alpha", alpha), ("crops_beta", beta))
    )
    first = [
        helper.make_node("Cast", [CROPS], ["crops_float"], to=kinds.FLOAT),
        helper.make_node("Mul", ["crops_float", "crops_alpha"], ["crops_scaled"]),
        helper.make_node("Sub", ["crops_scaled", "crops_beta"], ["crops_normalized"]),
        helper.make_node("Transpose", ["crops_normalized"], [network_input], perm=[0, 3, 1, 2]),
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend(first + rest)
    others = [each for each in graph.input if each.name != network_input]
    del graph.input[:]
    shape = ["N", *input_size, 3]
    graph.input.extend([helper.make_tensor_value_info(CROPS, kinds.UINT8, shape), *others])
