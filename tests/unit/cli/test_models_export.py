"""`classify-worker models export`: what of its command line is refused before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from worker.cli.models import models
from worker.cli.models_export import report
from worker.edge.export import Exported


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


def test_names_do_nothing_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    checked = "check/a.png: agrees: \x1b[31mcat 0.9\ncheck/b.png: agrees: dog 0.8"
    report(Exported(Path("out"), 1, 2, checked, None, ("\x1b]0;a.png: no image",)))
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert len(said.out.splitlines()) == 3
    assert "a.png: no image" in said.err
