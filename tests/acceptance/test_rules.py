"""Networks of every ending with a real Paddle, by every interface: what they answer, or why not."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from PIL import Image

from demo.broker import KafkaBroker
from tests.support.harness import Traffic
from tests.support.http_client import classify
from tests.support.images import colour_png, job
from tests.support.networks import COLOURS, Ending, export_colours
from tests.support.workers import MakeWorker
from worker import create_pipeline
from worker.device import CPU
from worker.errors import ModelError
from worker.failpoints import Failpoints
from worker.inference.slot import Slot
from worker.model import load_model_spec

YELLOW, BLACK, GREY, PINK = "#ffff00", "#000000", "#808080", "#ff8080"
HIGH, LOW = 0.98201, 0.01799
"""The sigmoid of 4 and of -4."""

LABELS = list(COLOURS)
MULTI = {"MultiLabelThreshOutput": {"threshold": 0.5, "label_list": LABELS}}

Answers = list[tuple[str, float]]
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Exports a network that tells colours apart: `colours(ending, **post_process)`."""

    def make(ending: Ending, **post: Any) -> Path:
        return export_colours(tmp_path_factory.mktemp("colours") / ending, ending, **post)

    return make


def pixels(colour: str) -> npt.NDArray[np.uint8]:
    """BGR, as OpenCV reads it."""
    return np.asarray(Image.open(io.BytesIO(colour_png(colour))))[..., ::-1]


def answers(model: Path, *images: str, **options: Any) -> list[Answers]:
    with create_pipeline(model=model, device="cpu") as pipeline:
        results = list(pipeline.predict([pixels(image) for image in images], **options))
    return [
        list(zip(plain["label_names"], plain["scores"], strict=True))
        for plain in (result.json["res"] for result in results)
    ]


@pytest.mark.parametrize("ending", ["sigmoid", "logits"])
def test_every_label_above_its_threshold(colours: Make, ending: Ending) -> None:
    model = colours(ending, **MULTI)
    found = answers(model, YELLOW, BLACK, PINK, "#ffffff", batch_size=4)
    assert [[name for name, _ in each] for each in found] == [
        ["red", "green"],
        [],
        ["red", "green", "blue"],
        ["red", "green", "blue"],
    ]
    np.testing.assert_allclose([score for _, score in found[0]], [HIGH, HIGH], atol=1e-4)
    assert found == answers(model, YELLOW, BLACK, PINK, "#ffffff", batch_size=1)
    assert [len(each) for each in answers(model, YELLOW, PINK, topk=1)] == [1, 1]


def test_thresholds_by_class(colours: Make) -> None:
    threshold = {"default": 0.99, "2": 0.01}
    model = colours("sigmoid", MultiLabelThreshOutput={"threshold": threshold})
    (found,) = answers(model, YELLOW)
    assert dict(found) == pytest.approx({"2": LOW}, abs=1e-4)


def test_scores_of_a_sigmoid_stay_as_they_are(colours: Make) -> None:
    (found,) = answers(colours("sigmoid", Topk={"topk": 3, "label_list": LABELS}), "#ffff00")
    assert [name for name, _ in found] == ["red", "green", "blue"]
    np.testing.assert_allclose([score for _, score in found], [HIGH, HIGH, LOW], atol=1e-4)
    bright, dark = answers(colours("one"), YELLOW, BLACK)
    assert dict(bright) == pytest.approx({"0": HIGH}, abs=1e-4)
    assert dict(dark) == pytest.approx({"0": LOW}, abs=1e-4)


def test_logits_get_a_softmax_for_every_image(colours: Make) -> None:
    # Of the grey image all logits are near 0.02.
    images = (YELLOW, GREY, BLACK, PINK)
    logits, scores = (
        answers(colours(ending, Topk={"topk": 3}), *images) for ending in ("logits", "softmax")
    )
    for with_ours, with_its_own in zip(logits, scores, strict=True):
        assert sum(score for _, score in with_ours) == pytest.approx(1, abs=1e-4)
        assert dict(with_ours) == pytest.approx(dict(with_its_own), abs=1e-4)


def test_one_class_by_a_threshold(colours: Make) -> None:
    options = {"threshold": 0.6, "default_label_index": 2, "label_list": ["r", "g", "other"]}
    model = colours("softmax", ThreshOutput=options)
    found = answers(model, "#ff0000", YELLOW, BLACK)
    assert [[name for name, _ in each] for each in found] == [["r"], ["other"], ["other"]]


def test_channels_in_the_order_that_the_model_says(colours: Make) -> None:
    model = colours("sigmoid", **MULTI)
    assert [name for name, _ in answers(model, "#ff0000")[0]] == ["red"]
    file = model / "inference.yml"
    config = yaml.safe_load(file.read_text("utf-8"))
    config["PreProcess"]["transform_ops"].insert(0, {"DecodeImage": {"to_rgb": False}})
    file.write_text(yaml.safe_dump(config), "utf-8")
    assert [name for name, _ in answers(model, "#ff0000")[0]] == ["blue"]


@pytest.mark.parametrize(
    ("ending", "post", "message"),
    [
        ("argmax", {}, r"int64, not with floating-point scores; does it end in an argmax\?"),
        ("features", {}, r"shape \(2, 3, 16, 16\), not with one score for each class"),
        ("sigmoid", {"Topk": {"label_list": ["a"]}}, "names 1 labels, but .* with 3 scores"),
        ("one", {"ThreshOutput": {"threshold": 0.5}}, "for two classes or more"),
    ],
)
def test_a_network_of_another_kind_is_refused(
    colours: Make, ending: Ending, post: dict[str, Any], message: str
) -> None:
    model = colours(ending, **post)
    with pytest.raises(ModelError, match=message):
        create_pipeline(model=model, device="cpu")
    # The process of a predictor does not know labels and thresholds; its owner does.
    slot = Slot(
        load_model_spec(model),
        CPU,
        threads=1,
        capacity=1,
        timeout=30.0,
        start_timeout=120.0,
        failpoints=Failpoints(),
    )
    with pytest.raises(ModelError, match=message):
        slot.start()
    assert slot.pid is None


def test_predict_prints_and_saves_answers_of_no_category(colours: Make, tmp_path: Path) -> None:
    for name, colour in (("yellow", YELLOW), ("black", BLACK)):
        (tmp_path / f"{name}.png").write_bytes(colour_png(colour))
    model = colours("sigmoid", **MULTI)
    options = ("--model", str(model), "--device", "cpu", "--save_path", "out")
    for form in ("json", "text", "table"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "worker", "predict", "--input", "black.png"),
                *("--input", "yellow.png", *options, "--format", form),
            ],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.fspath(Path.cwd())},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "red" in done.stdout
        if form == "json":
            black, yellow = (json.loads(line) for line in done.stdout.splitlines()[-2:])
            assert (black["errorCode"], black["categories"]) == (0, [])
            assert [each["name"] for each in yellow["categories"]] == ["red", "green"]
    saved = json.loads((tmp_path / "out/black_res.json").read_text())
    assert (saved["class_ids"], saved["scores"], saved["label_names"]) == ([], [], [])
    with Image.open(tmp_path / "out/black_res.png") as picture:
        assert picture.convert("RGB").getcolors() == [(64 * 64, (0, 0, 0))]


async def test_kafka_and_http_answer_with_every_label_or_none(
    make_worker: MakeWorker, broker: KafkaBroker, traffic: Traffic, colours: Make
) -> None:
    await traffic.create_topics()
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        WORKER_HTTP__INFER="true",
        WORKER_MODEL=str(colours("sigmoid", **MULTI)),
        WORKER_LOG__LEVEL="debug",
    ).start()
    await asyncio.to_thread(worker.wait_until_ready)
    bodies = {
        "yellow": job(colour_png(YELLOW)),
        "black": job(colour_png(BLACK)),
        "first": job(colour_png(YELLOW), topk=1, visualize=False),
    }
    found = {}
    for name, body in bodies.items():
        by_http = await asyncio.to_thread(classify, worker.port, body)
        by_kafka = await traffic.result(await traffic.send(body))
        assert by_http.status == 200
        assert (by_kafka.body["errorCode"], by_kafka.body["errorMsg"]) == (0, "Success")
        assert by_http.json["result"] == by_kafka.body["result"]
        found[name] = by_kafka.body["result"]
    assert [each["name"] for each in found["yellow"]["categories"]] == ["red", "green"]
    assert found["black"]["categories"] == []
    assert [each["name"] for each in found["first"]["categories"]] == ["red"]
    picture = Image.open(io.BytesIO(base64.b64decode(found["black"]["image"])))
    assert picture.size == (64, 64)
    assert np.asarray(picture).max() < 8, "nothing is drawn where there is no label"
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait) == 0
    assert [event["label"] for event in worker.events("job_done")] == ["red", None, "red"]
    assert [event["label"] for event in worker.events("request_done")] == ["red", None, "red"]
