"""`classify-worker evaluate` as a user runs it: the demo's model on its labelled photographs."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from demo.images import photographs
from worker.drift.baseline import read_baseline
from worker.model import ModelSpec

TIMEOUT = 120.0
NASTY = '<i>&"x"'
"""The name of a class that the model does not know."""

WRONG = "yurt"
"""The class whose folder has another class's photograph too."""


@dataclass(frozen=True)
class Run:
    """A command that has ended, and where it ran."""

    done: subprocess.CompletedProcess[str]
    directory: Path

    @property
    def report(self) -> dict[str, Any]:
        """The content of report.json."""
        text = (self.directory / "report" / "report.json").read_text("utf-8")
        found: dict[str, Any] = json.loads(text)
        return found


def classify_worker(directory: Path, *arguments: str | Path) -> Run:
    done = subprocess.run(
        [sys.executable, "-m", "worker", *map(str, arguments), "--device", "cpu"],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": os.fspath(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return Run(done, directory)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 photographs in folders of their classes, one in a wrong one, one unknown, one broken."""
    directory = tmp_path_factory.mktemp("evaluate")
    for photograph in photographs():
        # As a user would call it: one of the class's several names.
        folder = directory / "data" / photograph.label
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(photograph.path, folder / f"my {photograph.name}{photograph.path.suffix}")
    by_name = {photograph.name: photograph for photograph in photographs()}
    shutil.copy(by_name["strawberry"].path, directory / "data" / WRONG / "berry.jpg")
    (directory / "data" / NASTY).mkdir()
    shutil.copy(by_name["drum"].path, directory / "data" / NASTY / "<b>&.jpg")
    (directory / "data" / WRONG / "broken.jpg").write_text("this is no image")
    return directory


@pytest.fixture(scope="module")
def evaluated(data: Path, model_dir: Path, quick_model: Path) -> Run:
    """The run that most tests look at."""
    return classify_worker(
        data,
        *("evaluate", "--model", model_dir, "--data", "data", "--report", "report"),
        *("--against", quick_model, "--baseline", "drift/baseline.json", "--min-top1", "0.95"),
    )


def test_what_is_right_wrong_and_unusable(evaluated: Run, spec: ModelSpec) -> None:
    report, stderr = evaluated.report, evaluated.done.stderr
    # The strawberry among the yurts and the drum of an unknown class.
    assert (report["images"], report["top1_right"], report["top5_right"]) == (18, 16, 16)
    assert report["top1"] == pytest.approx(16 / 18, abs=1e-6)
    assert report["top1_interval"] == pytest.approx([0.672, 0.969], abs=1e-3)
    assert report["model"]["digest"] == spec.digest
    assert report["data"]["digest"].startswith("sha256:")
    assert (report["data"]["split"], report["data"]["images"]) == ("all", 19)
    assert report["classes"]["only_in_data"] == [NASTY]
    assert report["classes"]["in_both"] == 16
    taken = report["classes"]["by_one_of_several_names"]
    assert taken["drum"] == "drum, membranophone, tympan"
    assert len(report["classes"]["only_in_model"]) > 900
    (broken,) = report["unusable"]["by_reason"]["not_an_image"]
    assert broken["image"] == f"{WRONG}/broken.jpg"
    assert {(each["label"], each["answer"]) for each in report["mistakes"]} == {
        (WRONG, "strawberry"),
        (NASTY, "drum, membranophone, tympan"),
    }
    assert [each["image"] for each in report["likely_mislabelled"]] == [f"{WRONG}/berry.jpg"]
    yurt = next(each for each in report["per_class"] if each["name"] == WRONG)
    assert (yurt["support"], yurt["recall"], yurt["precision"]) == (2, 0.5, 1.0)
    assert report["seconds"] > 0
    assert "all 19 images are evaluated, as the data are not split" in stderr
    assert f"that the model does not know, 1, whose images are all wrong: {NASTY!r}" in stderr
    assert "1 of 19 images cannot be used, and count nowhere: 1 not_an_image" in stderr


def test_too_few_that_are_right_are_a_failure(evaluated: Run) -> None:
    assert evaluated.done.returncode == 1
    assert evaluated.done.stderr.splitlines()[-1] == (
        "classify-worker: top-1 is 0.8889, below --min-top1 0.95"
    )
    assert "top-1               0.8889  (16 of 18; 95 %: 0.6720 to 0.9690)" in evaluated.done.stdout


def test_the_page_has_no_scripts_and_is_well_formed(evaluated: Run) -> None:
    text = (evaluated.directory / "report" / "report.html").read_text("utf-8")
    root = ET.fromstring(text)  # noqa: S314 - our own
    assert "script" not in {each.tag for each in root.iter()}
    assert not [name for each in root.iter() for name in each.attrib if name.startswith("on")]
    assert "<i>" not in text
    assert "<b>" not in text
    assert f"{NASTY}/<b>&.jpg" in "".join(root.itertext())
    pictures = {each.get("src", "") for each in root.iter("img")}
    assert all(source.startswith("data:image/jpeg;base64,/9j/") for source in pictures)
    assert len(pictures) >= 2


def test_a_second_model_is_compared(evaluated: Run) -> None:
    against = evaluated.report["against"]
    assert against["model"]["digest"] != evaluated.report["model"]["digest"]
    assert against["compared_images"] == 18
    # Its images have 32 x 32 pixels: it is wrong nearly always.
    alone = against["mcnemar"]
    assert alone["only_first_right"] - alone["only_second_right"] == 16 - against["top1_right"]
    assert alone["p_exact"] < 0.01
    assert len(against["differing"]) == 18 - round(against["agreement"] * 18) > 9
    assert "McNemar" in evaluated.done.stdout


def test_a_baseline_for_a_worker_is_written(evaluated: Run, spec: ModelSpec) -> None:
    baseline = read_baseline(evaluated.directory / "drift" / "baseline.json")
    assert (baseline.digest, baseline.data, baseline.images) == (
        spec.digest,
        evaluated.report["data"]["digest"],
        18,
    )
    assert baseline.classes["strawberry"] == pytest.approx(2 / 18)


def test_predict_gives_the_same_counts(evaluated: Run, model_dir: Path) -> None:
    run = classify_worker(
        evaluated.directory,
        *("predict", "data", "--model", model_dir, "--topk", "1", "--output", "results.csv"),
    )
    assert run.done.returncode == 1, run.done.stderr  # the broken one
    with (evaluated.directory / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    right = [row for row in rows if Path(row["input"]).parent.name in row["name"].split(", ")]
    assert len(right) == evaluated.report["top1_right"]
    assert sum(row["errorCode"] == "0" for row in rows) == evaluated.report["images"]


def test_data_that_cannot_be_evaluated_are_refused_at_once(data: Path, model_dir: Path) -> None:
    missing = classify_worker(data, "evaluate", "--model", model_dir, "--data", "nowhere")
    assert missing.done.returncode == 1
    assert "the data set nowhere cannot be used: it does not exist" in missing.done.stderr
    other = classify_worker(
        data, *("evaluate", "--model", model_dir, "--data", "data", "--against", "nowhere/")
    )
    assert (other.done.returncode, other.done.stdout) == (3, "")
    assert (
        "there is no directory 'nowhere/', and no model of that name in the model cache"
        in other.done.stderr
    )
    (data / "file").write_text("")
    taken = classify_worker(
        data, *("evaluate", "--model", model_dir, "--data", "data", "--report", "file")
    )
    assert taken.done.returncode == 2
    assert "file is a file: name a directory" in taken.done.stderr
