"""Bundles made with the real converters, and run by programs that know nothing of this project."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demo.images import photographs
from tests.support.edge import classify
from tests.support.networks import COLOURS, export_colours
from worker.cli.models_export import report
from worker.edge import export as exporting
from worker.edge.export import Exported, Order, export
from worker.edge.formats import FORMATS, FormatName
from worker.errors import ExportError
from worker.model import ModelSpec, load_model_spec
from worker.settings import DecodeSettings

LIMITS = DecodeSettings()
RGB = {"red": (220, 20, 30), "green": (30, 220, 20), "blue": (20, 30, 220), "black": (0, 0, 0)}


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    directory = tmp_path_factory.mktemp("colours")
    rule = {"threshold": 0.6, "label_list": list(COLOURS)}
    (directory / "LICENSE.txt").write_text("Ask first.")
    return load_model_spec(export_colours(directory, "logits", MultiLabelThreshOutput=rule))


@pytest.fixture(scope="module")
def bundle(colours: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that tests leave as it is."""
    directory = tmp_path_factory.mktemp("made") / "a bundle"
    assert made(colours, "onnx", directory).checked.count(": agrees: ") == 2
    return directory


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    """A picture of each colour, in a folder with a space in its name."""
    directory = tmp_path / "some pictures"
    directory.mkdir()
    for name, colour in RGB.items():
        Image.new("RGB", (40, 30), colour).save(directory / f"{name}.png")
    return {name: directory / f"{name}.png" for name in RGB}


def made(spec: ModelSpec, name: FormatName, target: Path, **order: Any) -> Exported:
    return export(spec, Order(name, target, page=False, **order), LIMITS)


def answers(bundle: Path, *arguments: str | Path) -> list[list[dict[str, Any]]]:
    done = classify(bundle, "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line)["categories"] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", ["openvino", "ncnn"])  # onnx is in tests/acceptance/edge
def test_a_bundle_answers_as_the_model_does(
    spec: ModelSpec, tmp_path: Path, name: FormatName
) -> None:
    exported = made(spec, name, tmp_path / "bundle")
    assert exported.checked.count(": agrees: ") == 2
    assert exported.nbytes < exported.source_bytes * 0.6

    told = json.loads((tmp_path / "bundle" / "model.json").read_text("utf-8"))
    assert (told["digest"], told["opset"]) == (spec.digest, 14)
    assert told["precision"] == "float16"
    assert {*told["network"]} == {*FORMATS[name].network}

    known = photographs()[:6]
    found = answers(tmp_path / "bundle", *(photograph.path for photograph in known))
    assert [categories[0]["id"] for categories in found] == [each.class_id for each in known]
    assert {len(categories) for categories in found} == {5}


def test_a_bundle_stands_alone(bundle: Path) -> None:
    assert {path.name for path in bundle.iterdir()} == {
        "LICENSE",
        "MODEL-LICENSE.txt",
        "README.md",
        "check",
        "check.json",
        "classify.py",
        "model.json",
        "model.onnx",
        "runtime.py",
        "transform.py",
    }
    listed = (
        "import sys; sys.path.insert(0, sys.argv[1]); before = {*sys.modules}; import classify; "
        "print(*sorted({name.split('.')[0] for name in {*sys.modules} - before}))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", listed, bundle],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = {*done.stdout.split()} - {*sys.stdlib_module_names}
    assert {"numpy", "onnxruntime", "PIL"} <= loaded
    assert not loaded & {"cv2", "onnx", "paddle", "worker"}


def test_licences_go_with_a_bundle(bundle: Path) -> None:
    assert "Apache License" in (bundle / "LICENSE").read_text("utf-8")
    assert (bundle / "MODEL-LICENSE.txt").read_text() == "Ask first."
    readme = (bundle / "README.md").read_text("utf-8")
    assert "`MODEL-LICENSE.txt`" in readme
    assert readme.count("CC0") == 2


def test_the_check_of_a_bundle_can_fail(bundle: Path, tmp_path: Path) -> None:
    assert classify(bundle, "--check").returncode == 0
    shutil.copytree(bundle, tmp_path / "bundle")
    description = json.loads((bundle / "model.json").read_text("utf-8"))
    description["mean"] = [0.1, 0.0, 0.0]
    (tmp_path / "bundle" / "model.json").write_text(json.dumps(description), "utf-8")
    done = classify(tmp_path / "bundle", "--check")
    assert done.returncode == 1
    assert "DISAGREES" in done.stdout


def test_an_image_gets_its_categories_and_no_image_costs_itself(
    bundle: Path, tmp_path: Path, pictures: dict[str, Path]
) -> None:
    note = tmp_path / "note.txt"
    note.write_text("no image")
    done = classify(bundle, note, *pictures.values())
    assert done.returncode == 1
    assert done.stderr.startswith(f"{note}: ")
    # Logits of 8 times a colour's mean minus 4, and a sigmoid.
    score = 1 / (1 + np.exp(4 - 8 * 220 / 255))
    assert done.stdout.splitlines() == [
        *(f"{pictures[name]}: {name} {score:.5f}" for name in COLOURS),
        f"{pictures['black']}: none",
    ]


def test_a_network_that_answers_otherwise_is_not_kept(
    colours: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a faulty converter would make: a network with other weights."""

    def convert(_name: str, onnx: Path, _size: object, directory: Path, **_: object) -> None:
        library = importlib.import_module("onnx")
        network = library.load(onnx)
        numbers = library.numpy_helper
        constants = [
            node.attribute[0].t for node in network.graph.node if node.op_type == "Constant"
        ]
        for tensor in [*constants, *network.graph.initializer]:
            values = numbers.to_array(tensor)
            if values.dtype == np.float32:
                tensor.CopyFrom(numbers.from_array(values * np.float32(1.01), tensor.name))
        library.save(network, directory / "model.onnx")

    monkeypatch.setattr(exporting, "convert", convert)
    with pytest.raises(ExportError, match=r"^the bundle does not answer as the model does, and"):
        made(colours, "onnx", tmp_path / "bundle")
    assert [*tmp_path.iterdir()] == []


def test_what_is_there_is_not_overwritten(colours: ModelSpec, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ExportError, match="is there already"):
        made(colours, "onnx", tmp_path)
    with pytest.raises(ExportError, match="is there already"):
        made(colours, "onnx", tmp_path / "mine.txt")


def test_int8_says_what_it_costs(
    colours: ModelSpec, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(3)
    for name in COLOURS:
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(10):
            pixels = random.integers(0, 90, (24, 24, 3), np.uint8) + np.array(RGB[name]) // 2
            picture = Image.fromarray(pixels.astype(np.uint8))
            picture.save(tmp_path / "data" / name / f"{name} {index}.png")
    (tmp_path / "data" / "red" / "note.png").write_text("no image")
    (tmp_path / "bundle").mkdir()  # empty, which is as good as none
    exported = made(colours, "onnx", tmp_path / "bundle", calibration=tmp_path / "data")
    assert exported.accuracy is not None
    assert exported.accuracy.images > 5
    assert (exported.accuracy.before, exported.accuracy.after) == (1.0, 1.0)
    told = json.loads((tmp_path / "bundle" / "model.json").read_text("utf-8"))
    assert told["precision"] == "int8"
    assert told["accuracy"]["top1_int8"] == 1.0
    network = importlib.import_module("onnx").load(tmp_path / "bundle" / "model.onnx")
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in network.graph.node}
    assert {one.version for one in network.opset_import if not one.domain} == {told["opset"]}

    report(exported)
    said = capfd.readouterr()
    count = exported.accuracy.images
    assert f"accuracy on {count} held-out images: 1.0000 before, 1.0000 after\n" in said.out
    assert "not used: red/note.png: " in said.err


def test_int8_is_not_made_for_ncnn(colours: ModelSpec, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="does not write ncnn: use --format onnx or openvino"):
        made(colours, "ncnn", tmp_path / "bundle", calibration=tmp_path)
