"""From a folder of labelled pictures to a model that answers on a topic, as a user does it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from demo.broker import KafkaBroker
from tests.support.harness import BOUND, Names, Traffic, until
from tests.support.images import job
from tests.support.patches import CLASSES, TEST_IMAGES, TRAIN_IMAGES, write_patches
from tests.support.workers import MakeWorker
from worker.datasets import digest, open_dataset, split
from worker.model import load_model_spec
from worker.training.outputs import write_result

BROKEN = "train/brick wall/no picture.png"


@dataclass(frozen=True, slots=True)
class Trained:
    """A training that is done: its data and output, and what it wrote to the standard streams."""

    data: Path
    output: Path
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.output / "train_result.json").read_text("utf-8"))
        return read

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = (self.output / "train.log").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    @property
    def tests(self) -> list[Path]:
        return sorted((self.data / "test").rglob("*.png"))


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "worker", *map(str, arguments)]


def run(*arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=2 * BOUND, check=False
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures to train and to test with, and one file that is none."""
    directory = write_patches(tmp_path_factory.mktemp("data") / "my pictures")
    (directory / BROKEN).write_text("this is no picture", "utf-8")
    return directory


@pytest.fixture(scope="module")
def trained(data: Path, model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    output = tmp_path_factory.mktemp("trained") / "my model"
    done = run("train", "--data", data, "--model", model_dir, "--save_path", output)
    return Trained(data, output, done.stdout, done.stderr)


def answers(trained: Trained, model: Path) -> list[str]:
    """The best class of each picture to test with."""
    done = run("predict", "--model", model, "--format", "json", *trained.tests)
    assert "is the output of a training: its model in" in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    names = [[category["name"] for category in line["categories"]] for line in lines]
    assert all(len(each) == 5 and set(each) <= set(CLASSES) for each in names)
    return [each[0] for each in names]


def test_a_head_learns_the_classes_of_the_data(trained: Trained) -> None:
    result = trained.result
    images = result["data"]["images"]
    assert images["train"] + images["val"] == TRAIN_IMAGES == 108
    assert images["test"] == TEST_IMAGES == 77
    assert result["classes"] == list(CLASSES)
    assert result["before"]["test_top1"] < 0.5
    assert result["head"]["test_top1"] >= 0.9
    assert result["check"]["plain"] <= 1e-5
    assert f"digest    {result['model']['digest']}" in trained.out


def test_an_unreadable_picture_is_left_out_counted_and_named(trained: Trained) -> None:
    (skipped,) = trained.result["data"]["skipped"]
    assert (skipped["name"], skipped["reason"]) == (BROKEN, "not_an_image")
    assert f"left out: {BROKEN}: " in trained.err
    assert "1 left out" in trained.out
    (noted,) = [each for each in trained.events if each["event"] == "skipped"]
    assert noted["name"] == BROKEN


def test_the_output_has_all_that_is_promised(trained: Trained) -> None:
    output, inference = trained.output, trained.output / "best_model" / "inference"
    assert sorted(path.name for path in inference.iterdir()) == [
        "inference.json",
        "inference.pdiparams",
        "inference.yml",
    ]
    topk = yaml.safe_load((inference / "inference.yml").read_text("utf-8"))["PostProcess"]["Topk"]
    assert topk == {"topk": 5, "label_list": list(CLASSES)}
    labels = "".join(f"{number} {name}\n" for number, name in enumerate(CLASSES))
    assert (output / "labels.txt").read_text("utf-8") == labels
    config = yaml.safe_load((output / "config.yaml").read_text("utf-8"))
    assert (config["data"], config["seed"]) == (str(trained.data), 0)
    epochs = [each for each in trained.events if each["event"] == "epoch"]
    assert [each["epoch"] for each in epochs] == list(range(1, 101))
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    curve = ET.parse(output / "curve.svg").getroot()  # noqa: S314 - written by the worker
    assert len(curve.findall("{http://www.w3.org/2000/svg}polyline")) == 4
    assert not (output / "checkpoint").exists()


def test_evaluate_and_predict_count_as_many_right_answers(trained: Trained) -> None:
    found = answers(trained, trained.output)
    pairs = Counter(
        (path.parent.name, name) for path, name in zip(trained.tests, found, strict=True)
    )
    right = sum(count for (label, name), count in pairs.items() if label == name)
    assert right / TEST_IMAGES == pytest.approx(trained.result["head"]["test_top1"])
    done = run("evaluate", "--model", trained.output, "--data", trained.data, "--json")
    report = json.loads(done.stdout)
    assert report["images"] == TEST_IMAGES
    assert report["top1"] == pytest.approx(right / TEST_IMAGES, abs=1e-5)
    assert {each["name"]: each["right"] for each in report["per_class"]} == {
        name: pairs[name, name] for name in CLASSES
    }


def test_data_of_the_training_are_evaluated_on_what_it_kept(
    trained: Trained, tmp_path: Path
) -> None:
    output, data = tmp_path / "out", tmp_path / "photos"
    shutil.copytree(trained.output / "best_model", output / "best_model")
    for label in list(CLASSES)[:2]:
        (data / label).mkdir(parents=True)
        for path in sorted((trained.data / "train" / label).glob("*.png"))[:4]:
            shutil.copy(path, data / label)
    with open_dataset(data) as dataset:
        kept = split(dataset, seed=7).of("test")
        whole = {**trained.result["data"], "digest": digest(dataset), "seed": 7}
    write_result(output, {**trained.result, "data": whole})
    done = run("evaluate", "--model", output, "--data", data, "--json")
    report = json.loads(done.stdout)
    assert 2 <= len(kept) < 8
    assert (report["data"]["split"], report["data"]["images"]) == ("test", len(kept))
    assert "of 8 images, those that the training of this model on the same data kept" in done.stderr


async def test_the_model_answers_on_a_topic(
    trained: Trained, broker: KafkaBroker, names: Names, traffic: Traffic, make_worker: MakeWorker
) -> None:
    await traffic.create_topics()
    worker = make_worker(broker.bootstrap_servers, names, WORKER_MODEL=str(trained.output)).start()
    chosen = trained.tests[::7]
    ids = await traffic.send_all(job(path.read_bytes(), visualize=False) for path in chosen)
    results = await traffic.results(ids)
    found = []
    for record_id in ids:
        (answer,) = results[record_id]
        assert answer.body["model"]["digest"] == trained.result["model"]["digest"]
        found.append(answer.body["result"]["categories"][0]["name"])
    right = [label == path.parent.name for label, path in zip(found, chosen, strict=True)]
    assert sum(right) >= 0.8 * len(right)
    event = worker.wait_for_event("model_found")
    assert event["directory"] == str(trained.output / "best_model" / "inference")


@contextmanager
def started(*arguments: str | Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        process = subprocess.Popen(command(*arguments), stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_a_training_that_was_interrupted_ends_with_the_same_model(
    trained: Trained, model_dir: Path, tmp_path: Path
) -> None:
    output, log = tmp_path / "interrupted", tmp_path / "log"
    options = "--data", trained.data, "--model", model_dir, "--save_path", output
    with started("train", *options, log=log) as process:
        until(lambda: b"images: " in log.read_bytes(), "images are read")
        process.send_signal(signal.SIGINT)
        assert process.wait(BOUND) == 130, log.read_text("utf-8")
    assert b"--resume" in log.read_bytes()
    assert not (output / "best_model").exists()
    again = run("train", *options, status=1)
    assert "holds a training already" in again.stderr
    run("train", "--save_path", output, "--resume")
    resumed = json.loads((output / "train_result.json").read_text("utf-8"))
    assert resumed["model"]["digest"] == trained.result["model"]["digest"]
    assert load_model_spec(output).digest == resumed["model"]["digest"]
