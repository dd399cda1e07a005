"""Two workers under load and with failures, and the real servers that watch them."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.support.harness import Names, Traffic, Worker
from tests.support.images import colour_png, job, noise_jpeg
from tests.support.loopback import ImageServer
from tests.support.paths import ROOT
from tests.support.prometheus import Server, alertmanager, prometheus
from tests.support.workers import ONE_SMALL_SLOT
from worker.drift.baseline import write_baseline
from worker.drift.counting import BaselineCounts
from worker.model import load_model_spec

__all__ = ["Observed", "observe"]

PARTITIONS = 4
IDLE_BOUND = 150.0
"""Seconds for what takes only what is left over of the processors."""

POISON = "#fe0102"
DELIVERY: tuple[dict[str, str], ...] = (
    {
        "WORKER_DELIVERY": "exactly_once",
        "WORKER_KAFKA__CREATE_TOPICS": "true",
        "WORKER_RETRY__DELAYS": "1h",
        # So few that what comes again is computed again.
        "WORKER_RESULT_CACHE__MAX_ENTRIES": "1",
    },
    {},
)
"""Settings of each worker that have metrics of their own."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a test can ask.

    Attributes:
        began: seconds since the epoch at which Prometheus began.
    """

    prometheus: Server
    alertmanager: Server
    began: float


@contextmanager
def observe(bootstrap_servers: str, model: Path, directory: Path) -> Iterator[Observed]:
    """Run everything, with all that can happen to jobs, and stop it afterwards."""
    baseline = directory / "baseline.json"
    _write_baseline(baseline, model)
    second = _second_model(model, directory)
    with ExitStack() as stack:
        names = Names.new()
        workers = [
            Worker(
                {
                    **ONE_SMALL_SLOT,
                    **names.environ(),
                    "WORKER_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
                    "WORKER_MODEL": str(model),
                    "WORKER_HTTP__INFER": "true",
                    "WORKER_FETCH__ALLOW_NETWORKS": "127.0.0.0/8",
                    "WORKER_FETCH__ATTEMPTS": "1",
                    "WORKER_DRIFT__BASELINE": str(baseline),
                    "WORKER_DRIFT__WINDOW": "100",
                    "WORKER_SHADOW__MODEL": str(second),
                    "WORKER_SHADOW__SHARE": "1",
                    "WORKER_FAILPOINTS": f"predictor.kill={POISON[1:]}",
                    **delivery,
                },
                directory / f"worker-{number}.jsonl",
            )
            for number, delivery in enumerate(DELIVERY)
        ]
        for worker in workers:
            stack.callback(worker.kill)
        asyncio.run(_create_topics(bootstrap_servers, names))
        workers[0].start()
        workers[0].wait_until_ready()
        alerts = stack.enter_context(
            alertmanager(ROOT / "deploy" / "prometheus" / "alertmanager.yml", directory)
        )
        targets = directory / "targets.yaml"
        _write_targets(targets, workers[:1])
        began = time.time()
        watching = stack.enter_context(
            prometheus(_configuration(directory, alerts.address, targets), directory)
        )
        # Counters are seen at 0 before anything happens.
        watching.wait_for("classify_ready == 1")
        # Later on there may be no idle core to start on. It gives way to all other programs too.
        watching.wait_for("classify_shadow_up == 1", IDLE_BOUND)
        both = partial(_write_targets, targets, workers)
        asyncio.run(_load(bootstrap_servers, names, workers, both))
        yield Observed(watching, alerts, began)


def _write_baseline(path: Path, model: Path) -> None:
    """A baseline of the model, of what it answers to noise of one kind."""
    spec = load_model_spec(model)
    counts = BaselineCounts()
    scores = np.full(1000, 1e-4, np.float32)
    scores[0] = 1 - float(scores[1:].sum())
    for _ in range(100):
        counts.count(scores, spec.label(0))
    write_baseline(path, counts.baseline(spec.name, spec.digest, "sha256:0"))


def _second_model(model: Path, directory: Path) -> Path:
    """A model whose scores are a little higher for some images, and lower for others."""
    second = directory / "second"
    shutil.copytree(model, second)
    config = second / "inference.yml"
    content = yaml.safe_load(config.read_text("utf-8"))
    for step in content["PreProcess"]["transform_ops"]:
        if "NormalizeImage" in step:
            step["NormalizeImage"]["std"] = [0.2, 0.25, 0.3]
    config.write_text(yaml.safe_dump(content), "utf-8")
    return second


async def _create_topics(bootstrap_servers: str, names: Names) -> None:
    async with Traffic(bootstrap_servers, names) as traffic:
        await traffic.create_topics(PARTITIONS)


async def _load(
    bootstrap_servers: str, names: Names, workers: Sequence[Worker], watch_all: Callable[[], None]
) -> None:
    """Successes, failures of every stage, a crash and a rebalance; returns when all is answered."""
    first, second = workers
    good = [job(noise_jpeg(seed), visualize=True) for seed in range(60)]
    async with (
        Traffic(bootstrap_servers, names) as traffic,
        ImageServer({"/cat.jpg": noise_jpeg(1)}) as images,
    ):
        bad = [
            b"no JSON",
            job("!"),
            job(images.url("/no.jpg")),
            job(noise_jpeg(2)[:200]),
            job(noise_jpeg(3), deadlineMs=1),
            job(colour_png(POISON)),
        ]
        ids = await traffic.send_all([*good, job(images.url("/cat.jpg"))])
        await traffic.results(ids)
        ids += await traffic.send_all(bad)
        for body in (noise_jpeg(4), b"no image"):
            await asyncio.to_thread(_classify, first.port, body)
        second.start()
        await asyncio.to_thread(second.wait_until_ready)
        watch_all()
        ids += await traffic.send_all(good * 3)
        await traffic.results(ids)


def _classify(port: int, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/image-classification", body, {"Content-Type": "image/jpeg"})
        connection.getresponse().read()
    finally:
        connection.close()


def _configuration(directory: Path, alertmanager_address: str, targets: Path) -> Path:
    """The example, at a test's pace and with a test's addresses."""
    example = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    content: dict[str, Any] = yaml.safe_load(example.read_text("utf-8"))
    content["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    content["rule_files"] = [str(example.parent / name) for name in content["rule_files"]]
    content["alerting"]["alertmanagers"][0]["static_configs"] = [
        {"targets": [alertmanager_address]}
    ]
    (scrape,) = content["scrape_configs"]
    del scrape["static_configs"]
    scrape["file_sd_configs"] = [{"files": [str(targets)], "refresh_interval": "1s"}]
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


def _write_targets(path: Path, workers: Sequence[Worker]) -> None:
    addresses = [f"127.0.0.1:{worker.port}" for worker in workers]
    # Replaced as a whole: Prometheus may read at any time.
    half = path.with_suffix(".new")
    half.write_text(yaml.safe_dump([{"targets": addresses}]), "utf-8")
    half.replace(path)
