"""Which of the worker's settings `predict` follows, and what wins over what."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.cli.predict_settings import pipeline_config, refuse_others
from worker.device import CPU
from worker.errors import SettingsError
from worker.settings.sources import load

NAME = "image_classification"


@pytest.mark.parametrize(
    "override",
    [
        "model=X",
        "model_cache=/m",
        "zoo.offline=true",
        "fetch.read_timeout=3",
        "decode.max_side=9",
        "result_cache.max_entries=9",
    ],
)
def test_settings_that_are_followed(override: str) -> None:
    refuse_others(load(None, [override], {}))


@pytest.mark.parametrize(
    "key", ["kafka.group_id", "fetch.trust_env", "http.port", "intake.max_jobs"]
)
def test_a_setting_without_effect_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match=f"{key}: of no effect here"):
        refuse_others(load(None, [f"{key}=1"], {}))


def test_a_workers_file_and_environment_are_taken_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "worker.yaml"
    file.write_text("kafka: {group_id: mine}\nmodel: FromFile\n")
    loaded = load(file, [], {"WORKER_HTTP__PORT": "1"})
    refuse_others(loaded)
    assert pipeline_config(NAME, loaded, {}).model == "FromFile"


def test_defaults_are_the_pipelines_own() -> None:
    config = pipeline_config(NAME, load(None, [], {}), {})
    assert (config.model, config.device, config.batch_size) == ("PP-LCNet_x1_0", None, 1)


def test_what_wins_over_what(tmp_path: Path) -> None:
    pipeline = tmp_path / "mine.yaml"
    pipeline.write_text("Pipeline: {model: FromPipeline}\n")
    environment = {"WORKER_MODEL": "FromEnvironment"}

    def model(pipeline: str, *overrides: str, option: str | None = None) -> str:
        loaded = load(None, overrides, environment)
        return pipeline_config(pipeline, loaded, {"model": option}).model

    assert model(NAME) == "FromEnvironment"
    assert model(str(pipeline)) == "FromPipeline"
    assert model(str(pipeline), "model=FromSet") == "FromSet"
    assert model(str(pipeline), "model=FromSet", option="FromOption") == "FromOption"


def test_settings_become_the_pipelines_parts() -> None:
    overrides = ["model_dir=/m", "predictor.top_k=3", "batching.max_batch=8", "device=cpu"]
    config = pipeline_config(NAME, load(None, overrides, {}), {})
    assert (config.model, config.topk, config.batch_size, config.device) == ("/m", 3, 8, CPU)


def test_a_measured_batch_size_is_for_the_worker_alone() -> None:
    assert pipeline_config(NAME, load(None, ["batching.max_batch=0"], {}), {}).batch_size == 1
