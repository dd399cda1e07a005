"""What is refused before anything is computed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.support.model_files import CROP, NORMALIZE, RESIZE, document, write
from worker.cache import exclusive
from worker.cli.train_report import TrainReport
from worker.errors import DatasetError, ModelError, SettingsError, TrainingError
from worker.settings import Settings
from worker.training.beginning import writing
from worker.training.options import Options
from worker.training.outputs import write_result
from worker.training.run import train


def run(output: Path, options: Options, *, resume: bool = False) -> object:
    return train(
        options,
        output,
        resume=resume,
        settings=Settings(),
        reporter=TrainReport(),
        stopping=lambda: False,
        announce=lambda _: lambda *_: None,
    )


def model_in(directory: Path, program: str = "inference.json") -> str:
    return str(write(directory / "model", document(RESIZE, CROP, NORMALIZE), program))


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Folders with files that are called like images; nothing opens them as such."""
    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "1.jpg").write_text(label, "utf-8")
    return str(tmp_path / "photos")


def test_the_format_of_before_is_refused_with_what_to_do(tmp_path: Path, data: str) -> None:
    options = Options(data, model_in(tmp_path, "inference.pdmodel"))
    with pytest.raises(ModelError, match=r"inference\.pdmodel is in the format before inference"):
        run(tmp_path / "out", options)


def test_which_model_of_a_trainings_output_is_trained_further_is_said(
    tmp_path: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "first" / "best_model").mkdir(parents=True)
    inference = tmp_path / "first" / "best_model" / "inference"
    write(inference, document(RESIZE, CROP, NORMALIZE), "inference.pdmodel")
    with pytest.raises(ModelError, match="in the format before"):
        run(tmp_path / "out", Options(data, str(tmp_path / "first")))
    assert f"its model in {inference} is used" in "".join(capsys.readouterr().err.split("\n"))


@pytest.mark.parametrize("name", ["config.yaml", "best_model"])
def test_another_training_is_not_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / "out" / name).mkdir(parents=True)
    with pytest.raises(TrainingError, match="holds a training already"):
        run(tmp_path / "out", Options("no data", model_in(tmp_path)))


def test_two_trainings_do_not_write_into_one_directory(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    with (
        exclusive(output / ".lock"),
        pytest.raises(TrainingError, match="another training writes into"),
    ):
        run(output, Options("no data", model_in(tmp_path)))


def test_a_full_disk_is_said_to_be_where_the_training_writes(tmp_path: Path) -> None:
    with (
        pytest.raises(TrainingError, match=f"{tmp_path} cannot be written: No space left on dev"),
        writing(tmp_path),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    # What names its file, and a reader of the progress who has gone, are told as everywhere.
    for error in (FileNotFoundError(2, "no such file", "x"), BrokenPipeError(32, "broken pipe")):
        with pytest.raises(type(error)), writing(tmp_path):
            raise error


def test_a_training_that_is_done_is_not_done_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result(tmp_path, {"done": True})
    assert run(tmp_path, Options("no data", "no model"), resume=True) == {"done": True}
    assert "is done already, and nothing is left to do" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("device", "said"), [("gpu:0,1", "name one device"), ("abacus", "not a device")]
)
def test_a_device_must_be_one(tmp_path: Path, device: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        run(tmp_path / "out", Options("no data", "no model", device=device))


def test_data_are_looked_at_before_a_model_is_looked_for(tmp_path: Path, data: str) -> None:
    with pytest.raises(DatasetError, match="no data"):
        run(tmp_path / "out", Options("no data", "no model"))
    (tmp_path / "photos" / "b" / "1.jpg").unlink()
    (tmp_path / "photos" / "b").rmdir()
    with pytest.raises(DatasetError, match="has one class, 'a'"):
        run(tmp_path / "out", Options(data, "no model"))


def test_a_place_for_results_that_is_a_file_is_refused_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    for output in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(TrainingError, match="file is a file: name a directory"):
            run(output, Options("no data", "no model"))


def test_a_training_that_is_refused_writes_nothing(tmp_path: Path, data: str) -> None:
    with pytest.raises(ModelError, match="no model"):
        run(tmp_path / "out", Options(data, "no model"))
    assert not (tmp_path / "out").exists()
