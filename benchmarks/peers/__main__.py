"""`make bench-peers`: run the comparison and print it; ARGS="--help" tells what can be chosen."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from benchmarks.architectures import ARCHITECTURES, prepare_architecture
from benchmarks.broker import bench_broker
from benchmarks.images import make_images
from benchmarks.peers.bench import Bench, Contest
from benchmarks.peers.comparison import tables
from benchmarks.peers.environments import UnsupportedPythonError, prepare_environment
from benchmarks.peers.in_python import LIBRARIES, LIBRARY, measure_python
from benchmarks.peers.light_load import CONTENDERS as LIGHT
from benchmarks.peers.light_load import measure_light
from benchmarks.peers.model import share_model, write_pipeline
from benchmarks.peers.over_http import SERVICE, SERVICES, measure_http
from benchmarks.peers.over_kafka import CONTENDERS, PROGRAMS, measure_kafka
from demo.images import photographs
from demo.model import prepare_model
from worker.bench.measurement import Measurement, document
from worker.cache import cache_directory

PEER_OF = {**PROGRAMS, SERVICE: "paddlex", LIBRARY: "paddlex"}
"""The environment of each program that is not the worker."""

WAYS = {
    "kafka": CONTENDERS,
    "light": LIGHT,
    "http": SERVICES,
    "python": LIBRARIES,
}


WIDE = 170
"""Columns where nobody has said how many there are."""


def main(
    architecture: Annotated[
        str, typer.Argument(help=f"One of {', '.join(ARCHITECTURES)}.")
    ] = "pp_lcnet_x1_0",
    ways: Annotated[
        str, typer.Option(help="Of kafka, light, http and python, with commas.")
    ] = ",".join(WAYS),
    without: Annotated[
        str, typer.Option(help="What is left out, with commas: FastStream, ...")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Times that all is measured in turn.")] = 5,
    seconds: Annotated[float, typer.Option(help="Of a measurement over HTTP or in Python.")] = 5.0,
    jobs: Annotated[int, typer.Option(min=2000, help="Of a measurement through Kafka.")] = 3500,
    output: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path(
        "out/bench-peers.json"
    ),
) -> None:
    """Measure the worker and its peers in turn, and print the ratios.

    Figures belong to one machine and one hour, and so does a ratio of images/s where other programs
    run; the ratio of CPU times of neighbours is the steadiest.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    console = Console()
    console.width = console.width if console.is_terminal else WIDE
    asked = [one.strip() for one in ways.split(",")]
    if unknown := set(asked) - WAYS.keys():
        raise typer.BadParameter(f"{', '.join(unknown)}: choose from {', '.join(WAYS)}")
    left_out = {name.strip() for name in without.split(",")}
    chosen = {way: [name for name in WAYS[way] if name not in left_out] for way in asked}
    done: list[Measurement] = []
    with tempfile.TemporaryDirectory() as temporary:
        try:
            bench = _prepare(architecture, chosen, Path(temporary), console)
        except UnsupportedPythonError as error:
            raise typer.BadParameter(str(error)) from None
        contest = Contest(rounds, seconds, jobs)
        try:
            for measurement in _measure(bench, contest, chosen, console):
                done.append(measurement)  # noqa: PERF402 - kept if a later one fails
        finally:
            # What was measured before something failed is measured.
            if done:
                output.parent.mkdir(parents=True, exist_ok=True)
                output.write_text(json.dumps(document(done), indent=2) + "\n", "utf-8")
    for table in tables(done):
        console.print(table)
    console.print(f"Figures: {output}")


def _measure(
    bench: Bench, contest: Contest, chosen: Mapping[str, Sequence[str]], console: Console
) -> Iterator[Measurement]:
    if {"kafka", "light"} & chosen.keys():
        with bench_broker(bench.directory / "kafka") as broker:
            for way, measure in (("kafka", measure_kafka), ("light", measure_light)):
                if way in chosen:
                    yield from measure(
                        bench, contest, broker.bootstrap_servers, chosen[way], console
                    )
    if "http" in chosen:
        yield from measure_http(bench, contest, chosen["http"], console)
    if "python" in chosen:
        yield from measure_python(bench, contest, chosen["python"], console)


def _prepare(
    architecture: str, chosen: Mapping[str, Sequence[str]], directory: Path, console: Console
) -> Bench:
    cache = cache_directory()
    peers = {peer for names in chosen.values() for name in names if (peer := PEER_OF.get(name))}
    with console.status("Preparing environments and models; the first time takes minutes"):
        pythons = {name: prepare_environment(name, cache) for name in sorted(peers)}
        model = share_model(prepare_architecture(architecture, cache), directory / "model")
        labelled = share_model(prepare_model(cache), directory / "labelled")
        images = directory / "images"
        images.mkdir()
        return Bench(
            model=model,
            pipeline=write_pipeline(model, directory / "model.yaml"),
            name=architecture,
            labelled=labelled,
            labelled_pipeline=write_pipeline(labelled, directory / "labelled.yaml"),
            images=make_images(images),
            photographs={photograph.path.name: photograph.path for photograph in photographs()},
            pythons=pythons,
            directory=directory,
        )


if __name__ == "__main__":
    typer.run(main)
