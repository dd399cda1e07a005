"""All 80 models, on demand: `make test-zoo` (an hour on two busy cores, up to 1.1 GB on disk)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.zoo.exporting import export_to
from worker.predictor.parity import TOLERANCE
from worker.zoo.catalogue import catalogue

BY_SIZE = [model.name for model in sorted(catalogue().values(), key=lambda model: model.size)]


@pytest.mark.zoo
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", BY_SIZE)
def test_it_loads_and_answers_like_plain_paddle(name: str, tmp_path: Path) -> None:
    directory = tmp_path / name
    try:
        export_to(directory, name)
        surveyor = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.support.zoo.survey", directory],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert surveyor.returncode == 0, surveyor.stderr
    finally:
        for file in directory.glob("*"):
            file.unlink()
    # Paddle prints lines of its own before it.
    found = json.loads(surveyor.stdout.splitlines()[-1])
    side = catalogue()[name].crop.width
    assert found["name"] == name
    assert (found["classes"], found["labels"]) == (1000, 1000)
    assert found["input_size"] == [side, side]
    assert found["same_best"]
    assert found["deviation"] <= TOLERANCE
