"""A model whose files somebody replaces is noticed, whatever they look like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.model_files import CROP, NORMALIZE, RESIZE, document, write
from worker import model
from worker.errors import ModelError
from worker.model import load_model_spec
from worker.model.files import ModelFiles

CONFIG = document(RESIZE, CROP, NORMALIZE)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write(tmp_path / "model", CONFIG)


@pytest.fixture
def files(directory: Path) -> ModelFiles:
    return ModelFiles(load_model_spec(directory))


def test_what_was_not_touched_is_the_same(files: ModelFiles) -> None:
    files.check()
    files.check(thoroughly=True)


def test_the_same_content_again_is_the_same_model(files: ModelFiles, directory: Path) -> None:
    write(directory, CONFIG)
    (directory / "inference.pdiparams").touch()
    files.check()


@pytest.mark.parametrize("name", ["inference.json", "inference.pdiparams"])
def test_other_content_is_another_model(files: ModelFiles, directory: Path, name: str) -> None:
    (directory / name).write_bytes(b"{ }     ")
    with pytest.raises(ModelError, match="no longer those of the model"):
        files.check()


def test_a_model_that_is_gone_is_named(files: ModelFiles, directory: Path) -> None:
    (directory / "inference.pdiparams").unlink()
    with pytest.raises(ModelError, match=r"inference\.pdiparams is missing"):
        files.check()


def test_content_that_looks_the_same_is_found_where_it_matters(
    files: ModelFiles, directory: Path
) -> None:
    params = directory / "inference.pdiparams"
    before = params.stat()
    with params.open("r+b") as file:
        file.write(b"WEIGHTS")
    os.utime(params, ns=(before.st_atime_ns, before.st_mtime_ns))
    files.check()
    with pytest.raises(ModelError, match="no longer those"):
        files.check(thoroughly=True)


def test_a_file_that_goes_while_the_model_is_read_is_named(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = directory / "inference.pdiparams"

    def replaced(_: Path) -> bool:
        weights.unlink()
        return False

    monkeypatch.setattr(model, "is_cut_off", replaced)
    with pytest.raises(ModelError, match=r"inference\.pdiparams cannot be read: No such file"):
        load_model_spec(directory)
