"""What a training was asked for, and goes on with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from worker.errors import TrainingError
from worker.training.options import Options, read_options
from worker.training.phases import HEAD, NETWORK


def test_without_unfreeze_the_head_alone_is_trained() -> None:
    assert Options("data", "model").phases() == (HEAD,)
    (head,) = Options("data", "model", epochs=3, batch_size=5, learning_rate=0.5).phases()
    assert (head.name, head.epochs, head.batch_size, head.learning_rate) == ("head", 3, 5, 0.5)


def test_with_unfreeze_the_options_are_those_of_the_network() -> None:
    head, network = Options("data", "model", epochs=3, learning_rate=1e-6, unfreeze=True).phases()
    assert head == HEAD
    assert (network.epochs, network.learning_rate) == (3, 1e-6)
    assert network.batch_size == NETWORK.batch_size


def test_options_are_written_and_read(tmp_path: Path) -> None:
    options = Options("my data", "my model", epochs=2, learning_rate=1e-5, unfreeze=True, seed=7)
    options.write(tmp_path)
    assert read_options(tmp_path, {}) == options
    assert read_options(tmp_path, {"data": "my data", "seed": 7}) == options
    assert yaml.safe_load((tmp_path / "config.yaml").read_text("utf-8"))["data"] == "my data"


def test_another_option_is_refused_with_the_one_it_was_begun_with(tmp_path: Path) -> None:
    Options("data", "model", batch_size=8).write(tmp_path)
    with pytest.raises(TrainingError, match=r"begun with --batch-size 8, and is resumed with 16"):
        read_options(tmp_path, {"batch_size": 16})


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="leave --resume out"):
        read_options(tmp_path, {})


@pytest.mark.parametrize("text", ["[", "data: x", "- 1", "", "\x00"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text, "utf-8")
    with pytest.raises(TrainingError, match=r"config\.yaml cannot be read"):
        read_options(tmp_path, {})
