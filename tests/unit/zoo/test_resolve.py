"""From what a model is called to its directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.model_files import NORMALIZE, document, write
from worker.errors import ModelError
from worker.settings import ZooSettings
from worker.zoo.catalogue import ZooModel
from worker.zoo.download import Progress
from worker.zoo.resolve import resolve_model


@pytest.mark.parametrize(("given", "meant"), [("outt", "out"), ("out/", None), ("cat", None)])
def test_a_directory_that_was_likely_meant_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, meant: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cats").mkdir()
    if meant is not None:
        (tmp_path / meant / "best_model").mkdir(parents=True)
        write(tmp_path / meant / "best_model" / "inference", document(NORMALIZE))
    with pytest.raises(ModelError) as raised:
        resolve_model(given, tmp_path / "cache", ZooSettings(offline=True))
    message = str(raised.value)
    assert message.startswith(f"there is no directory {given!r}, and no model of that name")
    assert message.endswith("did you mean the directory out?") == (meant is not None)


def test_a_download_that_is_forbidden_is_not_announced(tmp_path: Path) -> None:
    def announce(model: ZooModel) -> Progress:
        pytest.fail(f"{model.name} is announced")

    settings = ZooSettings(offline=True, base_url="http://127.0.0.1:9/")
    with pytest.raises(ModelError, match=r"zoo\.offline forbids to download it"):
        resolve_model("PP-LCNet_x1_0", tmp_path, settings, announce)


def test_what_is_too_long_for_a_name_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a directory nor a model's name") as raised:
        resolve_model("a" * 12_000, tmp_path, ZooSettings(offline=True))
    assert len(str(raised.value)) < 250
