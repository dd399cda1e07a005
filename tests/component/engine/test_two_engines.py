"""Two engines with different models side by side: each computes, and names, its own."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import orjson
import pytest

from tests.support.images import colour_png
from tests.support.networks import COLOURS, export_colours
from worker.budget import Budget
from worker.contract.records import Record
from worker.device import CPU
from worker.engine.engine import Engine
from worker.failpoints import Failpoints
from worker.health import Health
from worker.http.classify import PATH, Classify
from worker.http.server import HttpServer
from worker.inference.placement import Placement
from worker.kafka.record_processor import RecordProcessor
from worker.metrics import Metrics
from worker.model import ModelSpec, load_model_spec
from worker.settings import (
    BatchingSettings,
    HttpSettings,
    KafkaSettings,
    PredictorSettings,
    Settings,
)

BOUND = 120.0
YELLOW = colour_png("#ffff00")


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> list[ModelSpec]:
    """A model that answers with each colour above a threshold, and one with the best ones."""
    base = tmp_path_factory.mktemp("two")
    multi = {"MultiLabelThreshOutput": {"threshold": 0.5, "label_list": list(COLOURS)}}
    best = {"Topk": {"topk": 3, "label_list": [f"so {colour}" for colour in COLOURS]}}
    return [
        load_model_spec(export_colours(base / "sigmoid", "sigmoid", **multi)),
        load_model_spec(export_colours(base / "softmax", "softmax", **best)),
    ]


async def test_each_names_itself_to_kafka_and_http(specs: list[ModelSpec]) -> None:
    settings = Settings(
        predictor=PredictorSettings(backend="paddle"), batching=BatchingSettings(max_batch=2)
    )
    async with AsyncExitStack() as stack:
        engines = [
            Engine(spec, [Placement(CPU, 1)], settings, Failpoints(), Metrics()) for spec in specs
        ]
        async with asyncio.timeout(BOUND):
            await asyncio.gather(*(engine.start(stack) for engine in engines))
            ways = await asyncio.gather(*map(by_kafka, engines), *map(by_http, engines))
    (a, b), (c, d) = ways[:2], ways[2:]
    assert (a, b) == (c, d)
    assert a == (specs[0].name, specs[0].digest, "paddle", ["red", "green"])
    assert b == (specs[1].name, specs[1].digest, "paddle", ["so red", "so green", "so blue"])
    assert a[0] != b[0]
    assert a[1] != b[1]


async def by_kafka(engine: Engine) -> tuple[str, str, str, list[str]]:
    """What a result on a topic says: name, digest and library of the model, and the labels."""
    processor = RecordProcessor(lambda: engine.identity, engine.process, KafkaSettings(), Metrics())
    record = Record("jobs", 0, 1, -1, None, YELLOW, (("content-type", b"image/png"),))
    _, (result,) = await processor.process(record, Budget(1, 1).reserve(0))
    body = orjson.loads(result.message.value or b"")
    model = body["model"]
    return model["name"], model["digest"], library(model["backend"]), labels(body)


async def by_http(engine: Engine) -> tuple[str, str, str, list[str]]:
    """What an answer to a request says."""
    metrics, settings = Metrics(), HttpSettings(host="127.0.0.1", port=0)
    classify = Classify(settings, 1 << 20, metrics)
    classify.open(engine.process)
    server = HttpServer(settings, Health(10.0, metrics), metrics, classify)
    await server.start()
    try:
        url = f"http://127.0.0.1:{server.port}{PATH}"
        headers = {"Content-Type": "image/png"}
        async with (
            aiohttp.ClientSession() as client,
            client.post(url, data=YELLOW, headers=headers) as answer,
        ):
            body = await answer.json()
            told = answer.headers
    finally:
        await server.stop()
    assert body.keys() == {"logId", "errorCode", "errorMsg", "result"}
    name = told["Model-Name"]
    return name, told["Model-Digest"], library(told["Model-Backend"]), labels(body)


def library(backend: str) -> str:
    """Which kernels Paddle chooses is the processor's matter."""
    return backend.partition("+")[0]


def labels(body: dict[str, dict[str, list[dict[str, str]]]]) -> list[str]:
    return [category["name"] for category in body["result"]["categories"]]
