"""Model directories written by a test: what they describe can be read, nothing can be computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from worker.errors import ModelError
from worker.model import ModelSpec, load_model_spec

__all__ = ["CROP", "NORMALIZE", "RESIZE", "document", "load", "refused", "write"]

RESIZE: dict[str, Any] = {"ResizeImage": {"resize_short": 256}}

CROP: dict[str, Any] = {"CropImage": {"size": 224}}

NORMALIZE: dict[str, Any] = {"NormalizeImage": {"scale": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1]}}


def document(*operations: dict[str, Any], **topk: Any) -> dict[str, Any]:
    return {
        "Global": {"model_name": "Made up"},
        "PreProcess": {"transform_ops": [*operations, {"ToCHWImage": None}]},
        "PostProcess": {"Topk": {"topk": 3, "label_list": ["cat", "dog"]} | topk},
    }


def write(directory: Path, config: Any, program: str = "inference.json") -> Path:
    directory.mkdir(exist_ok=True)
    # The older format is protobuf: here, a network of one empty block.
    (directory / program).write_bytes(b"\x0a\x00" if program.endswith(".pdmodel") else b"{}")
    (directory / "inference.pdiparams").write_bytes(b"weights")
    text = config if isinstance(config, str) else yaml.safe_dump(config)
    (directory / "inference.yml").write_text(text, "utf-8")
    return directory


def load(tmp_path: Path, config: Any) -> ModelSpec:
    return load_model_spec(write(tmp_path / "model", config))


def refused(tmp_path: Path, config: Any) -> str:
    """The message about a configuration, which names the file and is one sentence."""
    with pytest.raises(ModelError) as raised:
        load(tmp_path, config)
    message = str(raised.value)
    assert message.startswith(str(tmp_path / "model" / "inference.yml"))
    assert "\n" not in message
    return message
