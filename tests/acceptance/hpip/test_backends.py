"""The worker with another backend than Paddle: it says what computes, and never answers wrongly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from demo.broker import KafkaBroker
from tests.support.harness import Names, Traffic, Worker
from tests.support.http_client import ask, classify
from tests.support.images import colour_png, job
from tests.support.networks import export_colours
from tests.support.terminal import Terminal
from tests.support.workers import ONE_SMALL_SLOT
from worker.cache import CACHE_VARIABLE
from worker.model import load_model_spec
from worker.predictor.backends.conversion import to_onnx

YELLOW = job(colour_png("#ffff00"), visualize=False)
THRESHOLD = {"threshold": 0.5, "label_list": ["red", "green", "blue"]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("colours")
    return export_colours(directory, "sigmoid", MultiLabelThreshOutput=THRESHOLD)


def settings(model: Path, cache: Path, backend: str) -> dict[str, str]:
    return {
        **ONE_SMALL_SLOT,
        CACHE_VARIABLE: str(cache),
        "WORKER_MODEL": str(model),
        "WORKER_PREDICTOR__BACKEND": backend,
    }


async def test_kafka_and_http_are_answered_by_the_backend_that_is_named(
    model: Path, broker: KafkaBroker, names: Names, traffic: Traffic, tmp_path: Path
) -> None:
    await traffic.create_topics()
    given = settings(model, tmp_path, "onnxruntime") | names.environ()
    given |= {
        "WORKER_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "WORKER_HTTP__INFER": "true",
    }
    worker = Worker(given, tmp_path / "log.jsonl")
    try:
        worker.start()
        answer = await traffic.result(await traffic.send(YELLOW))
        assert [each["name"] for each in answer.body["result"]["categories"]] == ["red", "green"]
        response = classify(worker.port, YELLOW)
        assert response.json["result"]["categories"] == answer.body["result"]["categories"]
        assert worker.value("classify_model_info", backend="onnxruntime") == 1
    finally:
        worker.kill()


def test_one_that_answers_otherwise_than_paddle_ends_the_worker(
    model: Path, tmp_path: Path
) -> None:
    # Where its converted network is expected lies another one's, with that one's digest.
    expected = to_onnx(load_model_spec(model), tmp_path / "onnx").path
    other = to_onnx(load_model_spec(export_colours(tmp_path / "other", "softmax")), tmp_path)
    other.path.replace(expected)
    expected.with_name(f"{expected.name}.sha256").write_text(f"{other.digest}  {expected.name}\n")
    worker = Worker(settings(model, tmp_path, "openvino"), tmp_path / "log.jsonl", "serve")
    try:
        worker.start()
        assert worker.wait() == 3
        assert "openvino does not answer" in worker.tail()
        assert "set predictor.backend to auto or paddle" in worker.tail()
        assert "Traceback" not in worker.tail()
    finally:
        worker.kill()


def test_serve_says_that_it_measures_and_stops_when_it_is_told_to(
    model: Path, tmp_path: Path
) -> None:
    environ = {**settings(model, tmp_path, "auto"), "WORKER_HTTP__HOST": "127.0.0.1"}
    with Terminal("serve", environ=environ) as terminal:
        terminal.wait_for(
            "measuring backends: paddle, openvino, onnxruntime, once per model and machine"
        )
        found = re.search(r"^page     http://127\.0\.0\.1:(\d+)/$", terminal.text, re.MULTILINE)
        assert found is not None, terminal.text
        port = int(found[1])
        ready = ask(port, "GET", "/readyz")
        assert (ready.status, ready.body) == (503, b"measuring backends\nnot warm\n")
        assert ask(port, "GET", "/livez").status == 200
        terminal.interrupt()
        assert terminal.wait() == 0
        assert terminal.text.endswith("\nstopped\n")
