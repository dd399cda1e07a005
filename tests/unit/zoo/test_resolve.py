"""From what a model is called to its directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import ModelError
from worker.settings import ZooSettings
from worker.zoo.catalogue import ZooModel
from worker.zoo.download import Progress
from worker.zoo.resolve import resolve_model


def test_a_download_that_is_forbidden_is_not_announced(tmp_path: Path) -> None:
    def announce(model: ZooModel) -> Progress:
        pytest.fail(f"{model.name} is announced")

    settings = ZooSettings(offline=True, base_url="http://127.0.0.1:9/")
    with pytest.raises(ModelError, match=r"zoo\.offline forbids to download it"):
        resolve_model("PP-LCNet_x1_0", tmp_path, settings, announce)
