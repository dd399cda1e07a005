"""`make bench`: measure, print tables, write JSON and a plot; ARGS="--help" tells the choices."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.architectures import ARCHITECTURES, MODELS, prepare_architecture
from benchmarks.broker import bench_broker
from benchmarks.image_server import image_server
from benchmarks.images import make_images
from benchmarks.saturation import Setting
from benchmarks.sections import DEFAULT, SECTIONS, measure
from worker.bench.measurement import Measurement, document
from worker.bench.plot import plot
from worker.bench.run import Subject
from worker.bench.table import tables
from worker.cache import cache_directory
from worker.logs import configure
from worker.settings import LogSettings

ALL = "all"
WIDE = 150


def main(
    models: Annotated[
        str, typer.Option(help=f"Of {', '.join(ARCHITECTURES)}; all: {', '.join(MODELS)}.")
    ] = MODELS[0],
    sections: Annotated[str, typer.Option(help=f"Of {', '.join(SECTIONS)}; or all.")] = ",".join(
        DEFAULT
    ),
    seconds: Annotated[float, typer.Option(help="Length of each measurement.")] = 5.0,
    pictures: Annotated[
        bool | None,
        typer.Option("--pictures/--no-pictures", help="With pictures, or without; else both."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path(
        "out/bench.json"
    ),
    drawing: Annotated[Path, typer.Option("--plot", help="Where the plot goes, as SVG.")] = Path(
        "out/bench.svg"
    ),
) -> None:
    """Measure the limit and the worker side by side, on the same model and images.

    The default takes about ten minutes on two cores. Absolute figures belong to one machine and one
    hour. The ratios of neighbours in one run do not.
    """
    chosen = _choose(sections, SECTIONS, SECTIONS, "--sections")
    names = _choose(models, ARCHITECTURES, MODELS, "--models")
    both = (False, True) if pictures is None else (pictures,)
    configure(LogSettings(level="warning", format="console"))
    progress = Console(stderr=True, highlight=False)
    measured: list[Measurement] = []
    for path in (output, drawing):
        path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        files = make_images(directory)
        images = [path.read_bytes() for path in files]
        with bench_broker(directory / "kafka") as broker, image_server(files) as base:
            for name in names:
                progress.print(f"{name}:", style="bold")
                model = prepare_architecture(name, cache_directory())
                subject = Subject(model, name, files, seconds, both)
                setting = Setting(model, name, broker.bootstrap_servers, images, base, directory)
                for each in measure(subject, setting, chosen, progress.print):
                    measured.append(each)
                    # Each time: an interrupted run has measured something too.
                    output.write_text(json.dumps(document(measured), indent=2) + "\n", "utf-8")
    drawing.write_text(plot(measured), "utf-8")
    console = Console(highlight=False)
    console.width = console.width if console.is_terminal else WIDE
    for table in tables(measured):
        console.print(table)
    console.print(f"Figures: {output}, plot: {drawing}")


def _choose(
    given: str, known: tuple[str, ...], every: tuple[str, ...], option: str
) -> tuple[str, ...]:
    if given == ALL:
        return every
    chosen = tuple(given.split(","))
    if unknown := set(chosen) - set(known):
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}, or {ALL}",
            param_hint=option,
        )
    return chosen


if __name__ == "__main__":
    typer.run(main)
