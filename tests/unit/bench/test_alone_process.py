"""Single images with nothing around them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.small_model import SPEC
from worker.bench import alone_process
from worker.bench.child import UnusableImageError


def test_an_image_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff no image")
    monkeypatch.setattr(alone_process, "load_model_spec", lambda _: SPEC)
    predictor = SimpleNamespace(scores=lambda crops: np.zeros((len(crops), 1), np.float32))
    monkeypatch.setattr(alone_process, "load_predictor", lambda *_, **__: predictor)
    answer = alone_process._prepare(["model", "paddle", "1", str(broken)])
    with pytest.raises(UnusableImageError, match=r"broken\.jpg: "):
        answer({"pictures": False, "seconds": 0})
