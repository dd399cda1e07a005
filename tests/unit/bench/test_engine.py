"""The engine that is measured."""

from __future__ import annotations

import pytest

from tests.support.small_model import SPEC
from worker.bench import engine
from worker.settings import PredictorSettings, ResultCacheSettings, Settings


def test_images_that_come_again_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Settings] = []
    monkeypatch.setattr(engine, "Engine", lambda *arguments: made.append(arguments[2]))
    predictor = PredictorSettings(slots=1)
    given = Settings(result_cache=ResultCacheSettings(max_entries=10), predictor=predictor)
    engine.EngineBench(SPEC, [], given)
    assert made[0].result_cache.max_entries == 0
    assert made[0].predictor == predictor
