"""Paths of people who trained a model: which are understood, and which message the others get."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.zoo_host import model_files
from worker.errors import ModelError
from worker.model import find_model, load_model_spec
from worker.model.locate import explain_choice
from worker.settings import ZooSettings
from worker.zoo.resolve import resolve_model


def write_model(directory: Path, *, named: bool = True) -> Path:
    directory.mkdir(parents=True)
    for name, content in model_files().items():
        text = content if named else content.replace(b"Global:\n  model_name: made up\n", b"")
        (directory / name).write_bytes(text)
    return directory


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as raised:
        load_model_spec(path)
    return str(raised.value)


@pytest.mark.parametrize("below", ["inference", "best_model/inference"])
def test_a_training_output_is_its_inference_model(tmp_path: Path, below: str) -> None:
    model = write_model(tmp_path / "output" / below)
    (model.parent / "best_model.pdparams").write_bytes(b"weights")
    spec = load_model_spec(tmp_path / "output")
    assert (spec.directory, spec.params.parent) == (model, model)
    assert spec.digest == load_model_spec(model).digest
    assert find_model(str(tmp_path / "output"), tmp_path) == tmp_path / "output"


@pytest.mark.parametrize("below", [".", "best_model"])
def test_what_was_taken_of_a_training_output_is_said(tmp_path: Path, below: str) -> None:
    model = write_model(tmp_path / "my output" / "best_model" / "inference")
    given = tmp_path / "my output" / below
    taken = load_model_spec(given).directory
    assert taken == model
    said = f"{given} is the output of a training: its model in {model} is used"
    assert explain_choice(str(given), taken) == said


def test_nothing_is_said_of_a_model_itself_or_of_a_name(tmp_path: Path) -> None:
    model = write_model(tmp_path / "best_model" / "inference")
    assert explain_choice(model, load_model_spec(model).directory) is None
    assert explain_choice("PP-LCNet_x1_0", model) is None


def test_a_model_without_a_name_is_called_as_the_directory_that_was_given(tmp_path: Path) -> None:
    write_model(tmp_path / "cats" / "best_model" / "inference", named=False)
    assert load_model_spec(tmp_path / "cats").name == "cats"


def test_the_directory_itself_comes_first(tmp_path: Path) -> None:
    own = write_model(tmp_path / "model")
    write_model(own / "inference")
    assert load_model_spec(own).directory == own


def test_weights_beside_the_inference_model_lead_to_it(tmp_path: Path) -> None:
    model = write_model(tmp_path / "best_model" / "inference")
    weights = tmp_path / "best_model" / "best_model.pdparams"
    weights.write_bytes(b"weights")
    assert refused(weights) == (
        f"{weights} holds weights to train further; the inference model is {model}: use it"
    )


@pytest.mark.parametrize("place", [".", "best_model"])
def test_weights_alone_have_to_be_exported(tmp_path: Path, place: str) -> None:
    weights = tmp_path / place / "best_model.pdparams"
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(b"weights")
    for given in (weights, tmp_path):
        assert f"{weights} holds weights to train further" in refused(given)
        assert "export an inference model" in refused(given)


def test_an_archive_has_to_be_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "mine_infer.tar"
    archive.write_bytes(b"")
    for given in (archive, tmp_path):
        message = refused(given)
        assert f"{archive} is an archive: unpack it (tar -xf mine_infer.tar)" in message


def test_a_single_file_leads_to_its_directory(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    for name in model_files():
        assert refused(model / name).endswith(f"use its directory, {model}")


def test_a_directory_without_any_of_these_is_asked_for_an_inference_model(tmp_path: Path) -> None:
    assert refused(tmp_path).endswith("is it an inference model?")


@pytest.mark.parametrize(
    "file",
    [
        "PP-LCNet_x1_0_infer.tar",
        "downloads/PP-LCNet_x1_0_pretrained.pdparams",
        "https://example.com/PP-LCNet_x1_0_infer.tar",
    ],
)
def test_files_of_published_models_lead_to_their_names(tmp_path: Path, file: str) -> None:
    with pytest.raises(ModelError) as raised:
        resolve_model(file, tmp_path, ZooSettings(offline=True))
    message = str(raised.value)
    assert message.startswith(f"{file} ")
    assert message.endswith("; or use the published model by its name, PP-LCNet_x1_0")


def test_weights_of_ones_own_lead_to_no_published_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"and use its directory$"):
        resolve_model("mine/best_model.pdparams", tmp_path, ZooSettings(offline=True))
