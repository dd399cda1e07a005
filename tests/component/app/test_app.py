"""The worker's life inside this process: what it does, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import shutil
import socket
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from demo.broker import KafkaBroker
from demo.ports import free_ports
from tests.support.paths import IMAGES
from worker.app import YOUNG_OBJECTS, App
from worker.errors import KafkaSetupError, ModelError, SettingsError
from worker.failpoints import Failpoints
from worker.settings import (
    BatchingSettings,
    HttpSettings,
    KafkaSettings,
    PredictorSettings,
    Settings,
    TopicSettings,
)

BOUND = 60.0


@pytest.fixture
def settings(broker: KafkaBroker, model_dir: Path) -> Settings:
    name = f"a{uuid.uuid4().hex[:12]}"
    return Settings(
        model=str(model_dir),
        kafka=KafkaSettings(
            bootstrap_servers=broker.bootstrap_servers,
            jobs_topic=f"{name}-jobs",
            results_topic=f"{name}-results",
            dead_letters_topic=f"{name}-dead-letters",
            group_id=name,
            create_topics=True,
            topics=TopicSettings(partitions=1),
        ),
        http=HttpSettings(host="127.0.0.1", port=0),
        predictor=PredictorSettings(backend="paddle", slots=1, threads=1),
        batching=BatchingSettings(max_batch=2),
    )


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    before = set(psutil.Process().children())
    tasks = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)  # what was cancelled last
    assert {child for child in psutil.Process().children() if child.is_running()} <= before
    assert asyncio.all_tasks() - tasks == {asyncio.current_task()}


def value(app: App, name: str, **labels: str) -> float:
    return app.metrics.registry.get_sample_value(name, labels) or 0.0


async def reaches(app: App, name: str, expected: float, **labels: str) -> None:
    async with asyncio.timeout(BOUND):
        while value(app, name, **labels) != expected:  # noqa: ASYNC110 - a metric tells nobody
            await asyncio.sleep(0.02)


def digest(app: App) -> str:
    """The model's, as the metrics name it."""
    (model,) = (family for family in app.metrics.collect() if family.name == "classify_model")
    return model.samples[0].labels["digest"]


async def test_what_a_worker_for_kafka_counts_is_there_before_anything_else(
    settings: Settings,
) -> None:
    app, kafka = App(settings, Failpoints()), settings.kafka
    info = {"group": kafka.group_id, "replica": socket.gethostname(), "topic": kafka.jobs_topic}
    assert value(app, "classify_worker_info", **info) == 1
    for name, labels in [
        ("classify_set_aside_messages_total", {"topic": kafka.results_topic}),
        ("classify_reduced_messages_total", {"topic": kafka.dead_letters_topic}),
        ("classify_predictor_busy_seconds_total", {"slot": "0"}),
        ("classify_kafka_connected", {"client": "producer"}),
    ]:
        assert app.metrics.registry.get_sample_value(name, labels) == 0, name


async def test_a_job_is_counted_once_its_messages_are_acknowledged(settings: Settings) -> None:
    app, thresholds = App(settings, Failpoints()), gc.get_threshold()
    running = asyncio.create_task(app.run())
    await reaches(app, "classify_ready", 1)
    assert gc.get_freeze_count() > 0, "modules are not looked through for garbage"
    assert gc.get_threshold()[0] == YOUNG_OBJECTS > thresholds[0]
    kafka = settings.kafka
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        headers = [("content-type", b"image/png"), ("job-id", b"cat")]
        cat = await asyncio.to_thread((IMAGES / "chelsea.png").read_bytes)
        await producer.send_and_wait(kafka.jobs_topic, cat, b"key", headers=headers)
        await producer.send_and_wait(kafka.jobs_topic, b"no job")
    await reaches(app, "classify_jobs_total", 1, outcome="success", reason="ok")
    await reaches(app, "classify_jobs_total", 1, outcome="failure", reason="not_json")
    assert value(app, "classify_dead_letters_total", stage="parse", reason="not_json") == 1
    assert value(app, "classify_latency_seconds_count") == 2
    assert value(app, "classify_stage_duration_seconds_count", stage="publish") == 2
    assert value(app, "classify_best_score_ratio_count", digest=digest(app)) == 1
    cat_label = {"digest": digest(app), "class": "tiger cat"}
    assert value(app, "classify_predictions_total", **cat_label) == 1
    await reaches(app, "classify_kafka_connected", 1, client="consumer")
    await reaches(app, "classify_kafka_connected", 1, client="producer")
    await reaches(app, "classify_time_to_drain_seconds", 0)
    assert 0 < value(app, "classify_predictor_busy_seconds_total", slot="0") < BOUND
    assert value(app, "classify_predictor_cpu_seconds_total", slot="0") > 0
    assert value(app, "classify_predictor_resident_memory_bytes", slot="0") > 1 << 20
    assert value(app, "classify_image_processes_busy_seconds_total") > 0
    assert value(app, "classify_rebalance_duration_seconds_count") == 1
    app._stop.set()
    async with asyncio.timeout(BOUND):
        await running
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, thresholds)
    assert value(app, "classify_last_commit_timestamp_seconds") > 0
    async with AIOKafkaConsumer(
        kafka.results_topic,
        bootstrap_servers=kafka.bootstrap_servers,
        auto_offset_reset="earliest",
    ) as consumer:
        results = [await consumer.getone() for _ in range(2)]
    bodies = {orjson.loads(result.value)["jobId"]: result for result in results}
    answer = orjson.loads(bodies["cat"].value)
    assert answer["result"]["categories"][0]["name"] == "tiger cat"
    assert bodies["cat"].key == b"key"
    async with AIOKafkaConsumer(
        kafka.jobs_topic, bootstrap_servers=kafka.bootstrap_servers, group_id=kafka.group_id
    ) as member:
        (partition,) = member.assignment()
        assert await member.committed(partition) == 2


async def test_missing_topics_end_it_before_anything_is_loaded(settings: Settings) -> None:
    kafka = settings.kafka.model_copy(update={"create_topics": False})
    app = App(settings.model_copy(update={"kafka": kafka}), Failpoints())
    with pytest.raises(KafkaSetupError, match="topics missing"):
        await app.run()
    assert value(app, "classify_predictor_slots") == 0


async def test_a_model_that_cannot_be_loaded_ends_it(
    settings: Settings, model_dir: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(model_dir, tmp_path / "model"))
    (model / "inference.json").write_bytes(b"{}")
    with pytest.raises(ModelError, match=r"inference\.json"):
        await App(settings.model_copy(update={"model": str(model)}), Failpoints()).run()


async def test_a_port_in_use_ends_it(settings: Settings) -> None:
    (port,) = free_ports(1)
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", port)
    http = HttpSettings(host="127.0.0.1", port=port)
    async with taken:
        with pytest.raises(SettingsError, match=rf"http\.port {port}"):
            await App(settings.model_copy(update={"http": http}), Failpoints()).run()


async def test_stopping_while_a_predictor_loads_does_not_wait_for_it(settings: Settings) -> None:
    app = App(settings, Failpoints())
    running = asyncio.create_task(app.run())
    async with asyncio.timeout(BOUND):
        while not app._predictors():  # noqa: ASYNC110 - a process tells nobody that it starts
            await asyncio.sleep(0.005)
    app._stop.set()
    async with asyncio.timeout(5.0):
        await running
