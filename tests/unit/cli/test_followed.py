"""A setting that a command would not follow is refused, rather than without effect."""

from __future__ import annotations

import pytest

from worker.cli import dataset, models_export
from worker.cli.followed import refuse_others
from worker.cli.predict_settings import (
    EVALUATE_FOLLOWS,
    PREDICT_FOLLOWS,
    PREDICT_FOLLOWS_NOT,
)
from worker.errors import SettingsError
from worker.settings.sources import load

FOLLOWS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "predict": (PREDICT_FOLLOWS, PREDICT_FOLLOWS_NOT),
    "evaluate": (EVALUATE_FOLLOWS, ()),
    "dataset check": (dataset.FOLLOWED, ()),
    "models export": (models_export.FOLLOWED, ()),
}


def refuse(command: str, override: str) -> None:
    refuse_others(load(None, [override], {}), command, *FOLLOWS[command])


@pytest.mark.parametrize(
    ("command", "override"),
    [
        ("predict", "model=X"),
        ("predict", "model_cache=/m"),
        ("predict", "zoo.offline=true"),
        ("predict", "fetch.read_timeout=3"),
        ("predict", "decode.max_side=9"),
        ("predict", "result_cache.max_entries=9"),
        ("evaluate", "predictor.backend=paddle"),
        ("evaluate", "decode.max_side=9"),
        ("dataset check", "decode.max_side=9"),
        ("models export", "zoo.offline=true"),
    ],
)
def test_settings_that_are_followed(command: str, override: str) -> None:
    refuse(command, override)


@pytest.mark.parametrize(
    ("command", "override"),
    [
        ("predict", "kafka.group_id=1"),
        ("predict", "fetch.trust_env=1"),
        ("predict", "http.port=1"),
        ("predict", "intake.max_jobs=1"),
        ("predict", "model_watch=true"),
        ("evaluate", "result_cache.max_entries=9"),
        ("evaluate", "predictor.top_k=3"),
        ("dataset check", "model=any"),
        ("models export", "predictor.backend=paddle"),
    ],
)
def test_a_setting_without_effect_is_refused(command: str, override: str) -> None:
    key, _, _ = override.partition("=")
    with pytest.raises(SettingsError, match=f"^{command}: {key}: of no effect here"):
        refuse(command, override)


def test_what_is_followed_is_said() -> None:
    with pytest.raises(SettingsError, match=r"models export follows model_cache, zoo\.\*, decode"):
        refuse("models export", "model=any")
