"""The command lines of PaddleX's documentation, and what they are answered with."""

from __future__ import annotations

import shlex

import pytest

from worker.cli.paddlex import command_instead


@pytest.mark.parametrize(
    ("typed", "use"),
    [
        (
            "--pipeline image_classification --input a.jpg --device gpu:0 --save_path out/",
            "predict --pipeline image_classification --input a.jpg --device gpu:0 --save_path out/",
        ),
        (
            "--input 'my cat.jpg' --pipeline=image_classification",
            "predict --input 'my cat.jpg' --pipeline=image_classification",
        ),
        (
            "--get_pipeline_config image_classification --save_path ./my_path",
            "config image_classification --save_path ./my_path",
        ),
        (
            "--get-pipeline-config=image_classification",
            "config image_classification",
        ),
        (
            "--save_path 'a b' --get_pipeline_config",
            "config image_classification --save_path 'a b'",
        ),
        (
            "--serve --pipeline image_classification --device cpu --port 8081 --use_hpip",
            "serve --device cpu --port 8081",
        ),
    ],
)
def test_options_without_a_command_get_the_command(typed: str, use: str) -> None:
    answer = command_instead(shlex.split(typed))
    assert answer == f"options follow a command here:\n    classify-worker {use}"


@pytest.mark.parametrize("typed", ["--install", "--install hpi-cpu", "--paddle2onnx --opset 7"])
def test_what_nobody_needs_here_is_said(typed: str) -> None:
    assert "docs/from-paddlex.md" in str(command_instead(shlex.split(typed)))


@pytest.mark.parametrize(
    "typed", ["", "predict --pipeline a.yaml --input b.jpg", "--version", "--help", "--pipe x"]
)
def test_everything_else_is_left_alone(typed: str) -> None:
    assert command_instead(shlex.split(typed)) is None
