"""Model directories: every error names its file, every variant is understood."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.model_files import CROP, NORMALIZE, RESIZE, document, load, refused, write
from worker.errors import ModelError
from worker.model import CenterCrop, Normalize, Resize, find_model, load_model_spec


def test_a_whole_model(tmp_path: Path) -> None:
    spec = load(tmp_path, document(RESIZE, CROP, NORMALIZE))
    assert spec.name == "Made up"
    assert spec.program == tmp_path / "model" / "inference.json"
    assert spec.params == tmp_path / "model" / "inference.pdiparams"
    assert spec.resize == Resize(256, None)
    assert spec.crop == CenterCrop(224, 224)
    assert spec.input_size == (224, 224)
    assert spec.normalize == Normalize(1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert spec.top_k == 3
    assert [spec.label(class_id) for class_id in range(3)] == ["cat", "dog", "2"]


def test_the_older_program_file_will_do_and_the_newer_one_wins(tmp_path: Path) -> None:
    directory = write(tmp_path / "model", document(CROP), "inference.pdmodel")
    assert load_model_spec(directory).program.name == "inference.pdmodel"
    (directory / "inference.json").write_text("{}")
    assert load_model_spec(directory).program.name == "inference.json"


def test_the_digest_changes_with_each_file_and_with_nothing_else(tmp_path: Path) -> None:
    first = load_model_spec(write(tmp_path / "a", document(CROP))).digest
    assert first.startswith("sha256:")
    assert load_model_spec(write(tmp_path / "b", document(CROP))).digest == first
    digests = {first}
    for name in ("inference.json", "inference.pdiparams", "inference.yml"):
        directory = write(tmp_path / f"with other {name}", document(CROP))
        with (directory / name).open("a") as file:
            file.write("\n")
        digests.add(load_model_spec(directory).digest)
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"resize_short": 232}, Resize(232, None)),
        ({"size": 224}, Resize(None, (224, 224))),
        ({"size": [320, 240]}, Resize(None, (320, 240))),
        ({"resize_short": 256, "size": None}, Resize(256, None)),
        ({"resize_short": 256, "interpolation": None}, Resize(256, None)),
        ({"resize_short": 256, "interpolation": "LINEAR"}, Resize(256, None)),
        ({"resize_short": 256, "interpolation": "bicubic"}, Resize(256, None, "bicubic")),
        ({"resize_short": 256, "interpolation": 2}, Resize(256, None, "bicubic")),
        ({"resize_short": 256, "interpolation": "lanczos"}, Resize(256, None, "lanczos")),
        (
            {"resize_short": 248, "interpolation": "bicubic", "backend": "pil"},
            Resize(248, None, "bicubic", "pil"),
        ),
        ({"resize_short": 256, "backend": "cv2"}, Resize(256, None)),
    ],
)
def test_resizes(tmp_path: Path, options: dict[str, Any], expected: Resize) -> None:
    assert load(tmp_path, document({"ResizeImage": options})).resize == expected


def test_widths_come_before_heights(tmp_path: Path) -> None:
    spec = load(tmp_path, document({"CropImage": {"size": [300, 200]}}))
    assert spec.crop == CenterCrop(300, 200)
    assert spec.input_size == (200, 300)
    spec = load(tmp_path, document({"ResizeImage": {"size": [300, 200]}}))
    assert spec.input_size == (200, 300)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [("1.0/255.0", 1 / 255), ("1/255", 1 / 255), ("0.5", 0.5), (1, 1.0), (0.00392, 0.00392)],
)
def test_scales(tmp_path: Path, scale: object, expected: float) -> None:
    spec = load(tmp_path, document(CROP, {"NormalizeImage": {"scale": scale}}))
    assert spec.normalize == Normalize(expected)


def test_no_normalisation_changes_no_pixel(tmp_path: Path) -> None:
    spec = load(tmp_path, document(CROP))
    assert spec.normalize == Normalize(1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_labels_and_top_k_may_be_missing(tmp_path: Path) -> None:
    config = document(CROP)
    del config["PostProcess"]
    del config["Global"]
    spec = load(tmp_path, config)
    assert (spec.labels, spec.top_k, spec.label(7)) == ((), 5, "7")
    assert spec.name == "model", "the directory's name"


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([{"ResizeImage": {}}], "ResizeImage needs resize_short or size"),
        ([{"ResizeImage": {"resize_short": 0}}], "resize_short must be a whole number from 1 up"),
        ([{"ResizeImage": {"resize_short": "256"}}], "not '256'"),
        ([{"ResizeImage": {"resize_short": True}}], "not True"),
        ([{"ResizeImage": {"resize_short": 10**7}}], "resize_short must be at most 8192 pixels"),
        ([{"ResizeImage": {"size": [1, 2, 3]}}], "ResizeImage.size must be a whole number"),
        ([{"ResizeImage": {"resize_short": 9, "interpolation": "magic"}}], "'magic' is unknown"),
        ([{"ResizeImage": {"resize_short": 9, "interpolation": [1]}}], "one value, not a list"),
        ([{"ResizeImage": {"resize_short": 9, "backend": "gd"}}], "'gd' is unknown: use cv2 or"),
        ([{"CropImage": {}}], "CropImage needs size"),
        ([{"CropImage": {"size": -1}}], "CropImage.size"),
        ([{"CropImage": {"size": [10**9, 1]}}], "at most 8192 pixels"),
        ([{"CropImage": 224}], "CropImage must be a mapping"),
        ([CROP, RESIZE], "ResizeImage after CropImage is not supported: put it before"),
        ([NORMALIZE, CROP], "CropImage after NormalizeImage is not supported: put it before"),
        ([{"RandomFlip": None}], "transform RandomFlip is not supported here"),
        ([{"NormalizeImage": {"channel_num": 1}}], "channel_num must be 3"),
        ([{"NormalizeImage": {"mean": [0.5]}}], "NormalizeImage.mean must have three numbers"),
        ([{"NormalizeImage": {"mean": "abc"}}], "NormalizeImage.mean must have three numbers"),
        ([{"NormalizeImage": {"std": [1, 0, 1]}}], "NormalizeImage.std must not be zero"),
        ([{"NormalizeImage": {"mean": [0, float("nan"), 0]}}], "must be a finite number"),
        ([{"NormalizeImage": {"scale": "1/0"}}], "scale must be a number or a fraction"),
        ([{"NormalizeImage": {"scale": "one"}}], "not 'one'"),
        ([{"NormalizeImage": {"scale": float("inf")}}], "scale must be"),
        ([{"NormalizeImage": {"scale": 0}}], "scale must be"),
        ([{"NormalizeImage": {"scale": None}}], "scale must be"),
    ],
)
def test_a_transform_that_cannot_be_is_explained(
    tmp_path: Path, operations: list[dict[str, Any]], message: str
) -> None:
    assert message in refused(tmp_path, document(*operations))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"PreProcess": []}, "PreProcess must be a mapping"),
        ({"PreProcess": {"transform_ops": "ToCHWImage"}}, "transform_ops must be a list"),
        ({"PreProcess": {"transform_ops": ["ToCHWImage"]}}, "an entry of transform_ops must be"),
        ({"PreProcess": {"transform_ops": {"CropImage": None}}}, "transform_ops must be a list"),
        ({"Global": "name"}, "Global must be a mapping"),
        ({"PostProcess": {"Topk": 5}}, "PostProcess.Topk must be a mapping"),
        ({"PostProcess": {"Topk": {"topk": 0}}}, "topk must be a whole number from 1 up, not 0"),
        ({"PostProcess": {"Topk": {"label_list": "cat"}}}, "label_list must be a list"),
        ({"PostProcess": {"Topk": {"label_list": {"a": 1}}}}, "label_list must be a list"),
        ({"PostProcess": {"Topk": {"label_list": [["a"]]}}}, "each one text"),
        ([1, 2], "is not a mapping"),
        ("", "is empty"),
        ("# only a comment", "is not a mapping"),
        ("a: [", "is not YAML"),
        ("a: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("PostProcess: {Topk: {topk: 2024-99-99}}", "topk cannot be '2024-99-99': month must"),
        ("a: \0", "is not YAML"),
        ("[" * 5000, "is nested too deeply"),
    ],
)
def test_a_configuration_that_cannot_be_is_explained(
    tmp_path: Path, config: Any, message: str
) -> None:
    assert message in refused(tmp_path, config)


def test_a_label_list_that_expands_without_end_is_refused_at_once(tmp_path: Path) -> None:
    levels = ["Hpi:\n  a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    bomb = "\n".join([*levels, "PostProcess: {Topk: {label_list: *a11}}"])
    assert "each one text" in refused(tmp_path, bomb)


KEYS = [
    *("PreProcess", "transform_ops", "ResizeImage", "CropImage", "size", "resize_short"),
    *("NormalizeImage", "scale", "mean", "std", "PostProcess", "Topk", "label_list"),
]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just(float("inf")),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_stands_in_it_a_configuration_is_loaded_or_refused(
    tmp_path: Path, config: Any
) -> None:
    try:
        load(tmp_path, config)
    except ModelError as error:
        assert "inference.yml" in str(error)  # noqa: PT017 - either end is right


@pytest.mark.parametrize("name", ["inference.pdiparams", "inference.yml"])
@pytest.mark.parametrize("state", ["missing", "empty", "a directory"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str, state: str) -> None:
    directory = write(tmp_path / "model", document(CROP))
    (directory / name).unlink()
    if state == "empty":
        (directory / name).touch()
    if state == "a directory":
        (directory / name).mkdir()
    with pytest.raises(ModelError, match=rf"{name} is (missing|empty)"):
        load_model_spec(directory)


def test_weights_that_are_cut_off_are_named(tmp_path: Path) -> None:
    directory = write(tmp_path / "model", document(CROP))
    # One tensor of float32 [4], and but two of its numbers.
    tensor = struct.pack("<IQIi", 0, 0, 0, 4) + b"\x08\x05\x10\x04" + bytes(8)
    (directory / "inference.pdiparams").write_bytes(tensor)
    with pytest.raises(
        ModelError, match=r"inference\.pdiparams is cut off or damaged: copy or pull"
    ):
        load_model_spec(directory)


def test_an_older_program_that_is_none_is_named(tmp_path: Path) -> None:
    directory = write(tmp_path / "model", document(CROP), "inference.pdmodel")
    (directory / "inference.pdmodel").write_text("{}")
    with pytest.raises(ModelError, match=r"inference\.pdmodel is damaged or no network: copy"):
        load_model_spec(directory)


def test_a_directory_without_a_program_is_named(tmp_path: Path) -> None:
    directory = write(tmp_path / "model", document(CROP))
    (directory / "inference.json").unlink()
    message = rf"{directory} has neither inference\.json nor inference\.pdmodel"
    with pytest.raises(ModelError, match=message):
        load_model_spec(directory)
    with pytest.raises(ModelError, match=r"model directory .*nowhere does not exist"):
        load_model_spec(tmp_path / "nowhere")


def test_a_network_without_a_fixed_size_is_refused_with_the_remedy(tmp_path: Path) -> None:
    spec = load(tmp_path, document(RESIZE))
    with pytest.raises(ModelError, match=r"inference\.yml: .*no input size; add a CropImage"):
        _ = spec.input_size


def test_models_are_found_by_path_and_by_name(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "named").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert find_model(str(elsewhere), cache) == elsewhere
    assert find_model("named", cache) == cache / "named"


@pytest.mark.parametrize("model", ["unknown", "named/..", "../secret", "named/../named"])
def test_a_name_leads_nowhere_but_into_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    cache = tmp_path / "cache"
    (cache / "named").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    here = tmp_path / "some" / "where"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    said = re.escape(f"and no model of that name in the model cache ({cache})")
    with pytest.raises(ModelError, match=said):
        find_model(model, cache)
