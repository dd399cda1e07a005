"""Of the worker's settings and the pipeline's own, what wins over what."""

from __future__ import annotations

from pathlib import Path

from worker.cli.followed import refuse_others
from worker.cli.predict_settings import PREDICT_FOLLOWS, pipeline_config
from worker.device import CPU
from worker.settings.sources import load

NAME = "image_classification"


def test_a_workers_file_and_environment_are_taken_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "worker.yaml"
    file.write_text("kafka: {group_id: mine}\nmodel: FromFile\n")
    loaded = load(file, [], {"WORKER_HTTP__PORT": "1"})
    refuse_others(loaded, "predict", PREDICT_FOLLOWS)
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


def test_a_backend_that_is_set_wins_over_what_a_pipelines_file_says_of_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("Pipeline: {model: any, use_hpip: false}\n")

    def use_hpip(*overrides: str, option: bool | None = None) -> bool | None:
        loaded = load(None, overrides, {"WORKER_PREDICTOR__BACKEND": "openvino"})
        return pipeline_config(str(file), loaded, {"use_hpip": option}).use_hpip

    assert use_hpip() is False, "the file's word, before the environment's"
    assert use_hpip("predictor.backend=openvino") is None
    assert use_hpip("predictor.backend=openvino", option=False) is False
    assert use_hpip("predictor.backend=openvino", option=True) is True


def test_a_measured_batch_size_is_for_the_worker_alone() -> None:
    assert pipeline_config(NAME, load(None, ["batching.max_batch=0"], {}), {}).batch_size == 1
