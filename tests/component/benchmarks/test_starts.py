"""What starts take is measured with the real worker and the real command."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.saturation import Setting
from benchmarks.starts import measure_starts
from demo.broker import KafkaBroker

pytestmark = pytest.mark.component


def test_a_worker_and_two_commands_are_started(
    broker: KafkaBroker, model_dir: Path, tmp_path: Path
) -> None:
    setting = Setting(model_dir, "net", broker.bootstrap_servers, [], "", tmp_path)
    measured = list(measure_starts(setting, 2, {"WORKER_PREDICTOR__BACKEND": "paddle"}))
    assert [each.name for each in measured] == [
        "start to ready",
        "classify-worker --help",
        "classify-worker models list",
    ]
    for each in measured:
        took = each.details["start_seconds"]
        assert each.details["starts"] == 2
        assert 0 < took["median"] <= took["longest"]
    ready, *answers = (each.details["start_seconds"]["median"] for each in measured)
    assert ready > max(answers)
