"""What the options of `run` and `serve` do to the settings."""

from __future__ import annotations

from worker.cli.run import settings_given
from worker.settings.sources import load


def test_options_win_over_other_sources() -> None:
    options = settings_given("Mine", "gpu:1", 8, 3, "127.0.0.1", 9000)
    environment = {
        "WORKER_MODEL": "Other",
        "WORKER_MODEL_DIR": "/models/other",
        "WORKER_HTTP__PORT": "1",
    }
    settings = load(None, ["device=cpu", *options], environment).settings
    assert (settings.model, settings.model_dir, str(settings.device)) == ("Mine", None, "gpu:1")
    assert (settings.batching.max_batch, settings.predictor.top_k) == (8, 3)
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 9000)


def test_what_is_not_given_is_left_to_them() -> None:
    options = settings_given(None, None, None, None, None, 0)
    settings = load(None, options, {"WORKER_MODEL_DIR": "/models/other"}).settings
    assert str(settings.model_dir) == "/models/other"
    assert settings.http.port == 0
    assert options == ["http.port=0"]


def test_a_model_whose_name_looks_like_a_number_is_a_name() -> None:
    assert load(None, settings_given("1.5", None, None, None, None, None), {}).settings.model == (
        "1.5"
    )
