"""What a training leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.model_files import CROP, NORMALIZE, RESIZE, document, load
from worker.errors import TrainingError
from worker.model import load_model_spec
from worker.training.outputs import (
    description_of,
    publish_model,
    read_result,
    write_labels,
    write_result,
)


def described(tmp_path: Path, labels: list[str], given: dict[str, Any] | None = None) -> Any:
    spec = load(tmp_path, given or document(RESIZE, CROP, NORMALIZE))
    return yaml.safe_load(description_of(spec, labels))


def test_images_are_seen_as_before_and_answered_with_the_new_classes(tmp_path: Path) -> None:
    given = document(RESIZE, CROP, NORMALIZE)
    made = described(tmp_path, ["no", "1.10", "brick wall"], given)
    assert made == {
        "Global": {"model_name": "Made up"},
        "PreProcess": given["PreProcess"],
        "PostProcess": {"Topk": {"topk": 3, "label_list": ["no", "1.10", "brick wall"]}},
    }


def test_a_model_may_have_a_name_of_its_own(tmp_path: Path) -> None:
    spec = load(tmp_path, document(RESIZE, CROP, NORMALIZE))
    made = yaml.safe_load(description_of(spec, ["a", "b"], "my cats"))
    assert made["Global"] == {"model_name": "my cats"}


def test_at_most_five_classes_are_answered(tmp_path: Path) -> None:
    labels = [f"class {number}" for number in range(9)]
    assert described(tmp_path, labels)["PostProcess"]["Topk"]["topk"] == 5


def test_what_the_model_did_with_its_own_classes_is_gone(tmp_path: Path) -> None:
    given = document(RESIZE, CROP, NORMALIZE)
    given["PostProcess"] = {"ThreshOutput": {"threshold": 0.5, "label_0": "a", "label_1": "b"}}
    given["Hpi"] = {"backend": "tensorrt"}
    made = described(tmp_path, ["x", "y"], given)
    assert list(made) == ["Global", "PreProcess", "PostProcess"]
    assert list(made["PostProcess"]) == ["Topk"]


@pytest.mark.parametrize("label", ["a\nb", "\udcff", "x" * 2000, "\x07"])
def test_a_name_that_cannot_be_a_label_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(TrainingError, match="rename"):
        described(tmp_path, ["good", label])


def test_labels_are_written_as_paddlex_has_them(tmp_path: Path) -> None:
    write_labels(tmp_path, ["brick wall", "grass"])
    assert (tmp_path / "labels.txt").read_text("utf-8") == "0 brick wall\n1 grass\n"


def test_a_model_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    for name in ("first", "second"):
        made = tmp_path / "made"
        made.mkdir()
        (made / "inference.yml").write_text(name, "utf-8")
        published = publish_model(made, tmp_path)
        assert published == tmp_path / "best_model" / "inference"
        assert (published / "inference.yml").read_text("utf-8") == name
    assert [each.name for each in tmp_path.iterdir()] == ["best_model"]


def test_what_is_left_of_a_publication_that_broke_off_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".best_model-new" / "inference").mkdir(parents=True)
    (tmp_path / ".best_model-old").mkdir()
    made = tmp_path / "made"
    made.mkdir()
    assert publish_model(made, tmp_path).is_dir()
    assert [each.name for each in tmp_path.iterdir()] == ["best_model"]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    write_result(tmp_path, {"done": True, "classes": ["ä"]})
    assert read_result(tmp_path) == {"done": True, "classes": ["ä"]}
    (tmp_path / "train_result.json").write_text("{", "utf-8")
    with pytest.raises(TrainingError, match=r"train_result\.json cannot be read"):
        read_result(tmp_path)


def test_a_published_description_is_a_models(tmp_path: Path) -> None:
    spec = load(tmp_path, document(RESIZE, CROP, NORMALIZE))
    (spec.directory / "inference.yml").write_text(description_of(spec, ["a", "b"]), "utf-8")
    again = load_model_spec(spec.directory)
    assert (again.labels, again.top_k) == (("a", "b"), 2)
    assert (again.resize, again.crop, again.normalize) == (spec.resize, spec.crop, spec.normalize)
