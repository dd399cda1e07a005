"""`python -m benchmarks.delivery`: what each way of delivery costs, and with many partitions.

The worker runs at saturation with a small, quick model, each way in turn, for some rounds: only
neighbours in one run are comparable. Then one worker without a model takes more and more partitions
with `delivery: exactly_once`.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.architectures import ARCHITECTURES, prepare_architecture
from benchmarks.broker import bench_broker
from benchmarks.images import make_images
from benchmarks.saturation import Setting, saturate
from demo.broker import KafkaBroker
from worker.bench.measurement import Measurement
from worker.budget import Reservation
from worker.cache import cache_directory
from worker.contract.jobs import Category, Job, ModelIdentity, Outcome, Success
from worker.health import Health
from worker.kafka.record_processor import RecordProcessor
from worker.kafka.service import KafkaService
from worker.metrics import Metrics
from worker.settings import Settings

WAYS = {
    "at least once": {},
    "at least once, ordered": {"WORKER_RESULTS__ORDERED": "true"},
    "exactly once": {"WORKER_DELIVERY": "exactly_once"},
}
OPENED = 120.0
"""Seconds for all partitions of an assignment to be polled."""


def main(
    architecture: Annotated[
        str, typer.Argument(help=f"One of {', '.join(ARCHITECTURES)}.")
    ] = "mobilenet_v3_small",
    jobs: Annotated[int, typer.Option(help="Jobs of each measurement.")] = 3000,
    rounds: Annotated[int, typer.Option(help="Times that all is measured in turn.")] = 3,
    partitions: Annotated[str, typer.Option(help="Numbers to try, with commas; may be empty.")] = (
        "10,50,100,200"
    ),
    output: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path(
        "out/delivery.json"
    ),
) -> None:
    """Measure each way of delivery in turn, then assignments of more and more partitions."""
    console = Console()
    figures: dict[str, list[dict[str, float]]] = {}
    with (
        tempfile.TemporaryDirectory() as directory,
        bench_broker(Path(directory) / "kafka") as broker,
    ):
        if rounds:
            figures["ways"] = _ways(broker, architecture, jobs, rounds, Path(directory))
            _print(
                console,
                "Medians; the ratio is to at least once of the same round",
                figures["ways"],
            )
        sizes = [int(size) for size in partitions.split(",") if size]
        figures["partitions"] = [
            asyncio.run(_assign(broker.bootstrap_servers, size)) for size in sizes
        ]
        _print(console, "Assignments, exactly once", figures["partitions"])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures, indent=2))


def _ways(
    broker: KafkaBroker, architecture: str, jobs: int, rounds: int, directory: Path
) -> list[dict[str, float]]:
    model = prepare_architecture(architecture, cache_directory())
    images = [path.read_bytes() for path in make_images(directory)]
    setting = Setting(model, architecture, broker.bootstrap_servers, images, "", directory)
    rates: dict[str, list[Measurement]] = {way: [] for way in WAYS}
    for number in range(rounds):
        # The other way round each time: a machine that gets slower favours none.
        for way in list(WAYS)[:: 1 if number % 2 == 0 else -1]:
            rates[way].append(
                saturate(setting, way, "base64", jobs, pictures=False, environ=WAYS[way])
            )
    base = rates["at least once"]
    return [
        {
            way: 0.0,
            "images/s": statistics.median(_rate(one) for one in runs),
            "CPU ms/image": statistics.median(one.ms_cpu_per_image or 0.0 for one in runs),
            "ratio": statistics.median(
                _rate(a) / _rate(b) for a, b in zip(runs, base, strict=True)
            ),
            "lowest": min(_rate(a) / _rate(b) for a, b in zip(runs, base, strict=True)),
            "highest": max(_rate(a) / _rate(b) for a, b in zip(runs, base, strict=True)),
        }
        for way, runs in rates.items()
    ]


def _rate(measured: Measurement) -> float:
    assert measured.images_per_second is not None
    return measured.images_per_second


async def _assign(bootstrap: str, partitions: int) -> dict[str, float]:
    """Have one worker own so many partitions of a topic, and commit on all of them."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    settings = Settings.model_validate(
        {
            "delivery": "exactly_once",
            "kafka": {
                "bootstrap_servers": bootstrap,
                "jobs_topic": f"{name}-jobs",
                "results_topic": f"{name}-results",
                "dead_letters_topic": f"{name}-dead",
                "group_id": name,
                "create_topics": True,
                "topics": {"partitions": partitions},
            },
        }
    )
    metrics = Metrics()
    service = KafkaService(
        settings,
        RecordProcessor(lambda: ModelIdentity("none", "", ""), _answer, settings.kafka, metrics),
        Health(OPENED, metrics),
        metrics,
    )
    process, stop = psutil.Process(), asyncio.Event()
    await service.connect()
    memory, sockets = process.memory_info().rss, len(process.net_connections())
    began = time.perf_counter()
    running = asyncio.create_task(service.run(stop))
    # The first commit of each is where its reading begins.
    cpu = 0.0
    async with asyncio.timeout(OPENED):
        while _committed(metrics) < partitions:
            await asyncio.sleep(0.02)
            if running.done():
                running.result()
    opened = time.perf_counter() - began
    cpu_before, idle = resource.getrusage(resource.RUSAGE_SELF).ru_utime, time.perf_counter()
    await asyncio.sleep(5)
    cpu = (resource.getrusage(resource.RUSAGE_SELF).ru_utime - cpu_before) / (
        time.perf_counter() - idle
    )
    found = {
        "partitions": float(partitions),
        "seconds until all are open": opened,
        "connections": float(len(process.net_connections()) - sockets),
        "MiB": (process.memory_info().rss - memory) / 2**20,
        "idle CPU, cores": cpu,
    }
    stopping = time.perf_counter()
    stop.set()
    await running
    return found | {"seconds to give them up": time.perf_counter() - stopping}


def _committed(metrics: Metrics) -> float:
    labels = {"outcome": "committed"}
    return metrics.registry.get_sample_value("classify_transactions_total", labels) or 0.0


async def _answer(_job: Job, _held: Reservation) -> Outcome:
    return Success((Category(0, "none", 0.5),))


def _print(console: Console, title: str, rows: list[dict[str, float]]) -> None:
    if not rows:
        return
    named = "partitions" not in rows[0]
    table = Table(title=title)
    for heading in list(rows[0])[1:] if named else rows[0]:
        table.add_column(heading, justify="right")
    if named:
        table.add_column("delivery")
    for row in rows:
        cells = [f"{value:.2f}" for value in row.values()]
        table.add_row(*([*cells[1:], next(iter(row))] if named else cells))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
