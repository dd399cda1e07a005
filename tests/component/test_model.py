"""The demo's real model describes itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.model import load_model_spec


def test_the_real_model(model_dir: Path) -> None:
    spec = load_model_spec(model_dir)
    assert spec.input_size == (224, 224)
    assert len(spec.labels) == 1000
    assert spec.normalize.mean == pytest.approx((127 / 255,) * 3)
