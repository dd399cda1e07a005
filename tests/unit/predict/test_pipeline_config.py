"""Pipeline files: both of PaddleX's shapes, what is given on top, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.yaml_bombs import bomb
from worker.device import CPU, Device
from worker.errors import SettingsError
from worker.predict.pipeline_config import PipelineConfig, load_config, parse_config
from worker.predict.template import TEMPLATE, write_template
from worker.settings import Settings


def long_shape(**module: object) -> dict[str, Any]:
    """PaddleX 3's own `image_classification.yaml`, with changes to its module."""
    return {
        "pipeline_name": "image_classification",
        "SubModules": {
            "ImageClassification": {
                "module_name": "image_classification",
                "model_name": "PP-LCNet_x0_5",
                "model_dir": None,
                "batch_size": 4,
                "topk": 5,
            }
            | module
        },
    }


def test_the_short_shape() -> None:
    document = {"Pipeline": {"model": "ResNet50", "device": "gpu:0", "batch_size": 8}}
    assert parse_config(document, "it") == PipelineConfig(
        model="ResNet50", device=Device("gpu", (0,)), batch_size=8
    )


def test_the_short_shape_as_the_reference_wrote_it() -> None:
    document = {
        "Global": {"pipeline_name": "image_classification", "input": "https://example.com/1.jpg"},
        "Pipeline": {"model": "PP-LCNet_x0_5", "batch_size": 1},
    }
    assert parse_config(document, "it") == PipelineConfig(model="PP-LCNet_x0_5")


def test_the_long_shape() -> None:
    assert parse_config(long_shape(), "it") == PipelineConfig(
        model="PP-LCNet_x0_5", batch_size=4, topk=5
    )


def test_in_the_short_shape_a_directory_wins_over_the_name_too() -> None:
    for pipeline in ({"model_dir": "best_model"}, {"model": "A", "model_dir": "best_model"}):
        assert parse_config({"Pipeline": pipeline}, "it") == PipelineConfig(model="best_model")


def test_in_the_long_shape_a_directory_wins_over_the_name() -> None:
    assert parse_config(long_shape(model_dir="best_model"), "it").model == "best_model"


def test_the_long_shape_knows_hpip() -> None:
    document = long_shape() | {"use_hpip": True, "hpi_config": {"backend": "onnxruntime"}}
    assert parse_config(document, "it").use_hpip


@pytest.mark.parametrize(("module", "expected"), [(True, True), (False, False), (None, True)])
def test_in_the_long_shape_the_module_decides_on_hpip(module: bool | None, expected: bool) -> None:
    document = long_shape(use_hpip=module, hpi_config={"backend": "openvino"}) | {"use_hpip": True}
    assert parse_config(document, "it").use_hpip is expected


def test_settings_of_the_references_service_say_nothing_here() -> None:
    document = long_shape() | {"Serving": {"visualize": False, "extra": {"max_num_input_imgs": 1}}}
    assert parse_config(document, "it") == parse_config(long_shape(), "it")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "it must be a mapping with Pipeline, or with SubModules"),
        ({}, "it: Pipeline is missing"),
        ({"Pipeline": {}}, "it: Pipeline.model is missing"),
        (
            {"Pipeline": {"model": "A", "batchsize": 2}},
            "it: Pipeline.batchsize is not known here",
        ),
        (
            {"Pipeline": {"model": "A", "batch_size": 0}},
            "it: Pipeline.batch_size is 0: input should be greater than or equal to 1",
        ),
        (
            {"Global": {"pipeline_name": "OCR"}, "Pipeline": {"model": "A"}},
            "it: Global.pipeline_name is 'OCR': input should be 'image_classification'",
        ),
        (
            long_shape(batch_size="many"),
            (
                "it: SubModules.ImageClassification.batch_size is 'many': input should be a valid "
                "integer"
            ),
        ),
        (
            {"pipeline_name": "OCR", "SubModules": {"TextDetection": {}}},
            (
                "it: pipeline_name is 'OCR': input should be 'image_classification'; "
                "SubModules.ImageClassification is missing; "
                "SubModules.TextDetection is not known here"
            ),
        ),
        ({"Pipeline": {"model_dir": None}}, "it: Pipeline.model is missing"),
        (
            long_shape(model_name=None),
            "it: SubModules.ImageClassification.model_name is missing",
        ),
    ],
)
def test_each_mistake_is_named(document: object, problem: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_config(document, "it")
    assert str(refused.value).startswith(problem)


def test_what_is_given_wins_over_the_file() -> None:
    config = PipelineConfig(model="A", device=CPU, batch_size=4, topk=3)
    given = config.overridden("call", model="B", device=None, batch_size=None, topk=1)
    assert given == PipelineConfig(model="B", device=CPU, batch_size=4, topk=1)


def test_what_is_given_is_checked_too() -> None:
    with pytest.raises(SettingsError, match=r"^call: batch_size is 0: input should be greater"):
        PipelineConfig(model="A").overridden("call", batch_size=0)


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("Pipeline: {model: A, batch_size: 2}")
    expected = PipelineConfig(model="A", batch_size=2)
    assert load_config(str(path)) == load_config(path) == expected


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe", "is not YAML: 'utf-8' codec can't decode"),
        (b"a: [", "is not YAML: while parsing"),
        (b"Pipeline: {topk: !!bool q}", "is not YAML: no such value"),
        (b"Pipeline: {topk: 2024-99-99}", "is not YAML: month must be in 1..12"),
        (b"Pipeline: " + b"[" * 5000, "is nested too deeply"),
        (f"Pipeline: {bomb('[{}]')}".encode(), "has more than 1000000 values and characters"),
        (b"# x\n" * 70_000, "is larger than 256 KiB"),
        (b"", "must be a mapping with Pipeline, or with SubModules"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "bad.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        load_config(str(path))
    assert str(refused.value).startswith(f"{path} {problem}")
    assert "\n" not in str(refused.value)


def test_another_pipeline_is_not_known() -> None:
    with pytest.raises(SettingsError, match=r"^pipeline 'OCR' is not known: use image_class"):
        load_config("OCR")


def test_the_name_alone_is_the_template_with_the_workers_own_model() -> None:
    assert load_config("image_classification") == PipelineConfig(
        model=Settings().model, device=None, batch_size=1
    )


def test_the_file_in_the_repository_is_the_template() -> None:
    path = ROOT / "configs" / "pipelines" / "image_classification.yaml"
    assert path.read_text("utf-8") == TEMPLATE
    assert list(yaml.safe_load(TEMPLATE)["Pipeline"]) == ["model", "device", "batch_size"]


def test_the_template_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    target = write_template("image_classification", tmp_path / "new" / "place")
    assert target == tmp_path / "new" / "place" / "image_classification.yaml"
    assert target.read_text("utf-8") == TEMPLATE
    assert write_template("image_classification", target.parent) == target


def test_the_template_overwrites_no_work(tmp_path: Path) -> None:
    target = write_template("image_classification", tmp_path)
    target.write_text("Pipeline: {model: mine}")
    with pytest.raises(SettingsError, match="exists and differs: move it"):
        write_template("image_classification", tmp_path)
    assert "mine" in target.read_text()


def test_the_template_says_where_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"file/image_classification\.yaml cannot be written"):
        write_template("image_classification", tmp_path / "file")
