"""The pipeline's own configuration file; `configs/pipelines/image_classification.yaml` is a copy.

It is text here so that it comes with every installation, comments included.
"""

from __future__ import annotations

from pathlib import Path

from worker.errors import SettingsError

__all__ = ["PIPELINE_NAME", "TEMPLATE", "check_name", "write_template"]

PIPELINE_NAME = "image_classification"

TEMPLATE = """\
# The image classification pipeline, for `classify-worker predict --pipeline THIS_FILE` and
# `create_pipeline(THIS_FILE)`. What the command line or the call gives wins over this file.
Pipeline:
  model: PP-LCNet_x1_0  # a model's name, or the directory of an inference model
  device: null          # cpu, gpu:0, gpu:0,1, npu:0, xpu:0, mlu:0; null is gpu:0 if there is one
  batch_size: 1         # most images of a batch
"""


def write_template(name: str, directory: Path) -> Path:
    """Write the configuration of the pipeline `name` into `directory`, which is made if missing.

    Returns:
        The file, `directory/NAME.yaml`.

    Raises:
        SettingsError: there is no such pipeline, a different file is in the way, or the directory
            cannot be written.
    """
    check_name(name)
    target = directory / f"{name}.yaml"
    try:
        if target.exists() and target.read_text("utf-8") != TEMPLATE:
            raise SettingsError(
                f"{target} exists and differs: move it, or choose another directory"
            )
        directory.mkdir(parents=True, exist_ok=True)
        target.write_text(TEMPLATE, "utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{target} cannot be written: {error}") from error
    return target


def check_name(name: str) -> None:
    """Refuse the name of a pipeline that is not here.

    Raises:
        SettingsError: naming the pipeline that is.
    """
    if name != PIPELINE_NAME:
        raise SettingsError(
            f"pipeline {name!r} is not known: use {PIPELINE_NAME}, or the path of a .yaml file"
        )
