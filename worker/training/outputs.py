"""What a training leaves behind, all of it whole or not there.

- `best_model/inference/`: the model: inference.json, inference.pdiparams, inference.yml
- `labels.txt`: `ID LABEL` a line
- `config.yaml`: the options (`options`)
- `train_result.json`: what came out
- `train.log`: what happened, a JSON object a line (`record`)
- `curve.svg`: loss and accuracy by epoch (`curve`)
- `checkpoint/`: what `--resume` goes on from; gone when the training is done
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from worker.cache import write_whole
from worker.errors import TrainingError
from worker.model import ModelSpec
from worker.model.inference_config import read_config
from worker.model.yaml_tree import ConfigError

__all__ = [
    "BEST_MODEL",
    "CHECKPOINT",
    "CURVE",
    "INFERENCE",
    "LABELS",
    "RESULT",
    "description_of",
    "publish_model",
    "read_result",
    "write_labels",
    "write_result",
]

BEST_MODEL = "best_model"
INFERENCE = "inference"
CHECKPOINT = "checkpoint"
LABELS = "labels.txt"
RESULT = "train_result.json"
CURVE = "curve.svg"

MOST_CATEGORIES = 5


def description_of(spec: ModelSpec, labels: Sequence[str], name: str | None = None) -> str:
    """Make the `inference.yml` of a model that was trained from `spec`.

    It sees images as that one does, and answers with the classes of the data.

    Args:
        name: of the model; None is that of `spec`. PaddleX's loader takes its own names alone.

    Returns:
        The file's text.

    Raises:
        TrainingError: a class's name cannot be a label.
    """
    # `load_model_spec` has read this file, within limits.
    given: Any = yaml.safe_load((spec.directory / "inference.yml").read_text("utf-8-sig"))
    document = {
        "Global": {"model_name": name or spec.name},
        "PreProcess": given["PreProcess"],
        "PostProcess": {
            "Topk": {"topk": min(MOST_CATEGORIES, len(labels)), "label_list": list(labels)}
        },
    }
    # A copy without shared parts, which YAML would write as anchors.
    document = json.loads(json.dumps(document))
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=100)
    try:
        read = read_config(text.encode(), spec.directory)
    except (ConfigError, UnicodeEncodeError) as error:
        raise TrainingError(f"a class's name cannot be a label: {error}; rename it") from error
    if read.post.labels != tuple(labels):
        raise TrainingError("the classes' names do not survive in inference.yml: rename them")
    return text


def write_labels(output: Path, labels: Sequence[str]) -> None:
    """Write `labels.txt`, as PaddleX has it."""
    lines = "".join(f"{number} {label}\n" for number, label in enumerate(labels))
    write_whole(output / LABELS, lines.encode())


def publish_model(made: Path, output: Path) -> Path:
    """Make a directory with a whole model `best_model/inference`, in place of one that is there.

    Args:
        made: on the same file system; it is moved.

    Returns:
        The model's directory.
    """
    best = output / BEST_MODEL
    staged, replaced = output / f".{BEST_MODEL}-new", output / f".{BEST_MODEL}-old"
    for leftover in (staged, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    staged.mkdir()
    made.rename(staged / INFERENCE)
    if best.exists():
        best.rename(replaced)
    staged.rename(best)
    shutil.rmtree(replaced, ignore_errors=True)
    return best / INFERENCE


def write_result(output: Path, result: Mapping[str, object]) -> None:
    """Write `train_result.json`; it is there when the training is done, and not before."""
    text = json.dumps(result, indent=2, ensure_ascii=False)
    write_whole(output / RESULT, f"{text}\n".encode())


def read_result(output: Path) -> dict[str, Any] | None:
    """Read `train_result.json`.

    Returns:
        What it says; None if there is none.

    Raises:
        TrainingError: it cannot be read.
    """
    path = output / RESULT
    try:
        result: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    return result
