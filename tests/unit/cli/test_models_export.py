"""`classify-worker models export`: what of its command line is refused before it begins."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from worker.cli.models import models


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--format", "onnx", "--int8"], "--int8 needs --calibration DATA"),
        (["--format", "onnx", "--calibration", "photos"], "--calibration needs --int8"),
        (
            ["--format", "ncnn", "--int8", "--float32", "--calibration", "photos"],
            "keep one of --int8 and --float32",
        ),
        (["--format", "tflite"], "'tflite' is not one of"),
        ([], "--format"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(options: list[str], says: str) -> None:
    arguments = ["export", "my", "--save-dir", "out", *options]
    result = CliRunner().invoke(models, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert says in result.stderr
