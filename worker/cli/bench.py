"""`classify-worker bench`: how fast a model is on this machine, and how near the limit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.options import INPUT_GROUP, OUTPUT_GROUP, Config, Model, Overrides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.bench.measurement import Measurement
    from worker.settings import Settings

__all__ = ["bench"]

SECTIONS = ("bare", "codec", "engine", "latency")
SAMPLES = Path(__file__).parents[1] / "http" / "page" / "samples"
WIDE = 140


def bench(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Files and directories of images, taken in turn; by default photographs that "
            "come with this program.",
            show_default=False,
            rich_help_panel=INPUT_GROUP,
        ),
    ] = None,
    model: Model = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600, help="Length of each measurement.")
    ] = 5.0,
    sections: Annotated[
        str, typer.Option(metavar="NAMES", help=f"What to measure, of {','.join(SECTIONS)}.")
    ] = ",".join(SECTIONS),
    pictures: Annotated[
        bool | None,
        typer.Option(
            "--pictures/--no-pictures",
            help="Results with a picture, or without; both unless given.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the figures to this file, as JSON.",
            show_default=False,
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw CPU time per image to this .svg file.",
            show_default=False,
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Measure a model and images on this machine, without Kafka.

    The backends alone, all predictors at once; the codecs alone; the engine with as many images as
    it takes; and its latency at 25 to 90 % of that, counted from when each image was due.

    Examples:
        classify-worker bench --model PP-LCNet_x1_0
        classify-worker bench photos/ --output bench.json
    """
    chosen = sections.split(",")
    if unknown := set(chosen) - set(SECTIONS):
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: choose from {', '.join(SECTIONS)}",
            param_hint="--sections",
        )
    for path in (output, plot):
        # Now, rather than after minutes.
        if path is not None and not path.parent.is_dir():
            raise typer.BadParameter(f"{path.parent} is no directory: make it first")
        if path is not None and path.is_dir():
            raise typer.BadParameter(f"{path} is a directory: name a file in it")
    # Here, so that `--help` and other commands do not pay for loading them.
    from rich.console import Console  # noqa: PLC0415

    from worker.bench.table import tables  # noqa: PLC0415
    from worker.cli.run import settings_given  # noqa: PLC0415
    from worker.logs import configure  # noqa: PLC0415
    from worker.settings import LogSettings  # noqa: PLC0415
    from worker.settings.sources import load  # noqa: PLC0415

    given = settings_given(model, None, None, None, None, None)
    settings = load(config, [*(overrides or ()), *given]).settings
    configure(LogSettings(level="warning", format="console"))
    files = _files(images or [SAMPLES])
    both = (False, True) if pictures is None else (pictures,)
    measured = _measure(settings, files, seconds, chosen, both)
    console = Console(highlight=False)
    # A file or a pipe has no width to keep to.
    console.width = console.width if console.is_terminal else max(WIDE, console.width)
    for table in tables(measured):
        console.print(table)
    _save(measured, output, plot)


def _files(given: Sequence[Path]) -> list[Path]:
    from worker.errors import JobError  # noqa: PLC0415
    from worker.predict.inputs import find_sources  # noqa: PLC0415

    sources = [source for path in given for source in find_sources(str(path))]
    for source in sources:
        if isinstance(source.content, JobError):
            problem = f"{source.input_path}: {source.content}"
            raise typer.BadParameter(problem, param_hint="IMAGE")
    found = [Path(each.input_path) for each in sources if each.input_path is not None]
    missing = next((path for path in (*given, *found) if not path.exists()), None)
    if missing is not None or not found:
        problem = "there is no image" if missing is None else f"{missing} does not exist"
        raise typer.BadParameter(problem, param_hint="IMAGE")
    return found


def _measure(
    settings: Settings,
    files: Sequence[Path],
    seconds: float,
    sections: Sequence[str],
    pictures: Sequence[bool],
) -> list[Measurement]:
    from worker.bench.run import Subject, run  # noqa: PLC0415
    from worker.cache import models_directory  # noqa: PLC0415
    from worker.cli.status import Status  # noqa: PLC0415
    from worker.cli.transfer import Transfer  # noqa: PLC0415
    from worker.model import load_model_spec  # noqa: PLC0415
    from worker.zoo.catalogue import ZooModel  # noqa: PLC0415
    from worker.zoo.download import Progress  # noqa: PLC0415
    from worker.zoo.resolve import resolve_model  # noqa: PLC0415

    with Transfer(1) as transfer:

        def announce(model: ZooModel) -> Progress:
            return transfer.of(model.name)

        cache = settings.model_cache or models_directory()
        directory = settings.model_dir or resolve_model(
            settings.model, cache, settings.zoo, announce
        )
    spec = load_model_spec(directory)
    subject = Subject(directory, spec.name, files, seconds, pictures)
    with Status("measuring") as status:
        return list(run(subject, spec, settings, sections, status.say))


def _save(measured: Sequence[Measurement], output: Path | None, plot: Path | None) -> None:
    import json  # noqa: PLC0415

    from worker.bench.measurement import document  # noqa: PLC0415
    from worker.bench.plot import plot as draw  # noqa: PLC0415

    if output is not None:
        output.write_text(json.dumps(document(measured), indent=2) + "\n", "utf-8")
        typer.echo(f"Figures: {output}", err=True)
    if plot is not None:
        plot.write_text(draw(measured), "utf-8")
        typer.echo(f"Plot: {plot}", err=True)
