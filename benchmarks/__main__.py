"""`make bench`: run the comparison and print it; ARGS="--help" tells what can be chosen."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import bare, end_to_end
from benchmarks.architectures import ARCHITECTURES, prepare_architecture
from demo.broker import KafkaBroker
from demo.images import photographs
from demo.jars import fetch_jars
from worker.cache import cache_directory
from worker.inference.placement import available_cores

BROKER_JAVA = (
    "-Xms256m",
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",  # prints STARTED
)
"""Without the demo's options that trade throughput for a quick start."""


def main(
    architecture: Annotated[
        str, typer.Argument(help=f"One of {', '.join(ARCHITECTURES)}.")
    ] = "resnet50",
    seconds: Annotated[float, typer.Option(help="Length of each measurement, in seconds.")] = 20.0,
    rounds: Annotated[int, typer.Option(min=1, help="Times that all is measured in turn.")] = 3,
    output: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path(
        "out/bench.json"
    ),
) -> None:
    """Measure the bare predictor and the worker in turn, and print their ratio.

    Absolute figures belong to one machine and one hour. The ratio of neighbours in one run does
    not.
    """
    console = Console()
    cores = available_cores()
    model = prepare_architecture(architecture, cache_directory())
    images = [photograph.path.read_bytes() for photograph in photographs()]
    with console.status("Finding the bare predictor's best batch and layout"):
        limit = bare.best(model, cores)
    console.print(
        f"{architecture} on {cores} cores: fastest bare with batch {limit.batch}, "
        f"{limit.processes} process(es) of {limit.threads} thread(s), {limit.rate:.1f} images/s"
    )
    jobs = max(200, round(limit.rate * seconds * 1.5))
    figures: dict[str, list[dict[str, float]]] = {"bare": [], "plain": [], "pictures": []}
    with tempfile.TemporaryDirectory() as directory:
        broker = KafkaBroker(
            Path(directory) / "kafka",
            fetch_jars(cache_directory() / "kafka"),
            properties={"message.max.bytes": "8388608"},
            java_options=BROKER_JAVA,
        )
        with broker:
            for number in range(rounds):
                for pictures in (False, True):
                    kind = "pictures" if pictures else "plain"
                    with console.status(
                        f"Round {number + 1} of {rounds}: bare, then worker ({kind})"
                    ):
                        alone = bare.measure(
                            model, limit.batch, limit.processes, limit.threads, seconds / 2
                        )
                        whole = end_to_end.measure(
                            model,
                            broker.bootstrap_servers,
                            images,
                            jobs,
                            pictures=pictures,
                            log=Path(directory) / f"worker-{number}-{kind}.log",
                        )
                    figures["bare"].append(asdict(alone))
                    figures[kind].append(asdict(whole) | {"ratio": whole.rate / alone.rate})
    _print(console, figures)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(
        json.dumps({"architecture": architecture, "cores": cores, **figures}, indent=2)
    )
    console.print(f"Figures: {output}")


def _print(console: Console, figures: dict[str, list[dict[str, float]]]) -> None:
    table = Table(title="Medians of all rounds; ratios to the bare predictor measured just before")
    for heading in ("", "images/s", "CPU ms/image", "images/batch", "ratio (min to max)"):
        table.add_column(heading, justify="right" if heading else "left")
    names = {"bare": "bare predictor", "plain": "worker", "pictures": "worker with pictures"}
    for kind, rows in figures.items():
        ratios = sorted(row.get("ratio", 1.0) for row in rows)
        table.add_row(
            names[kind],
            f"{_median(rows, 'rate'):.1f}",
            f"{_median(rows, 'cpu') * 1000:.1f}",
            f"{_median(rows, 'batch'):.1f}",
            ""
            if kind == "bare"
            else f"{_median(rows, 'ratio'):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        )
    console.print(table)


def _median(rows: list[dict[str, float]], key: str) -> float:
    values = sorted(row[key] for row in rows)
    return values[len(values) // 2]


if __name__ == "__main__":
    typer.run(main)
