"""`classify-worker predict`: classify files, directories and URLs from the command line."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.options import (
    EXIT_FAILED,
    INPUT_GROUP,
    MODEL_GROUP,
    OUTPUT_GROUP,
    BatchSize,
    Config,
    Device,
    Format,
    Inputs,
    Model,
    OutputFile,
    Overrides,
    TopK,
    UseHpip,
)

if TYPE_CHECKING:
    from worker.predict.inputs import Source
    from worker.predict.saving import Saver

__all__ = ["predict"]

STANDARD_INPUT = "-"


def predict(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    positional: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Images: files, URLs, glob patterns, and directories, which are searched; a line "
            "each from standard input for -. TIFF and PDF files are classified page by page.",
            show_default=False,
            rich_help_panel=INPUT_GROUP,
        ),
    ] = None,
    inputs: Inputs = None,
    model: Model = None,
    device: Device = None,
    batch_size: BatchSize = None,
    use_hpip: UseHpip = None,
    pipeline: Annotated[
        str,
        typer.Option(
            "--pipeline",
            metavar="NAME|FILE",
            help="image_classification, or a pipeline's .yaml file; options win over it.",
            show_default=False,
            rich_help_panel=MODEL_GROUP,
        ),
    ] = "image_classification",
    top_k: TopK = None,
    output_format: Format = None,
    output: OutputFile = None,
    save_dir: Annotated[
        str | None,
        typer.Option(
            "--save-dir",
            metavar="DIR|FILE",
            help="Save STEM_res.json and the picture STEM_res.EXT of each image in this directory; "
            "of a single image, its picture or JSON in this file, such as out.jpg or out.json.",
            show_default=False,
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Classify images on this machine, without Kafka.

    An image that cannot be used costs the exit code 1; the others are answered all the same.

    Examples:
        classify-worker predict cat.jpg
        classify-worker predict photos/ --output results.csv
        classify-worker predict a.png b.png --save-dir out

    PaddleX's names are understood: --input, --topk, --batch_size, --save_path, --use_hpip.
    """
    given = [*(inputs or ()), *(positional or ())]
    if not given:
        raise typer.BadParameter(
            "name an image, a directory or a URL, as in classify-worker predict cat.jpg",
            param_hint="INPUT",
        )
    # Here, so that `--help` and other commands do not pay for loading them.
    from worker.cli.classifier import load_classifier  # noqa: PLC0415
    from worker.cli.followed import refuse_others  # noqa: PLC0415
    from worker.cli.output_file import OutputFile as ResultFile  # noqa: PLC0415
    from worker.cli.predict_settings import (  # noqa: PLC0415
        PREDICT_FOLLOWS,
        PREDICT_FOLLOWS_NOT,
        pipeline_config,
    )
    from worker.cli.status import Status  # noqa: PLC0415
    from worker.logs import configure  # noqa: PLC0415
    from worker.settings import LogSettings  # noqa: PLC0415
    from worker.settings.sources import load  # noqa: PLC0415

    file = None if output is None else ResultFile(output)
    loaded = load(config, overrides or ())
    refuse_others(loaded, "predict", PREDICT_FOLLOWS, PREDICT_FOLLOWS_NOT)
    # Warnings of native code are shown in one form; the rest of its output is left out.
    configure(LogSettings(level="warning", format="console"))
    options = {
        "model": model,
        "device": device,
        "batch_size": batch_size,
        "use_hpip": use_hpip,
        "topk": top_k,
    }
    chosen = pipeline_config(pipeline, loaded, options)
    with Status(f"loading {PurePath(chosen.model).name}") as status:
        # Loading codecs takes part of a second, and Paddle several.
        sources, saver = _plan(given, save_dir)
        if not sources:  # standard input was empty: no model is loaded, let alone downloaded
            status.end()
            typer.echo(
                "classify-worker: nothing was classified: the sources name no image", err=True
            )
            return
        classifier = load_classifier(chosen, loaded.settings, status)
    from worker.cli.predict_report import PredictReport  # noqa: PLC0415
    from worker.model.locate import explain_choice  # noqa: PLC0415
    from worker.predict import FailedInput  # noqa: PLC0415
    from worker.predict.saving import FileSaver  # noqa: PLC0415

    if choice := explain_choice(chosen.model, classifier.spec.directory):
        typer.echo(f"classify-worker: {choice}", err=True)
    names = [source.input_path or "" for source in sources]
    shown = PredictReport(
        output_format,
        names,
        file,
        model=classifier.identity,
        unmeasured=classifier.unmeasured,
    )
    with classifier, shown as report:
        report.begin()
        if isinstance(saver, FileSaver):
            sources = saver.check(classifier.pages(sources))
        for result in classifier.predict(sources, on_error="yield"):
            saved = []
            if saver is not None and not isinstance(result, FailedInput):
                saved = saver.save(result)
            report.add(result, saved)
    if report.failed:
        raise typer.Exit(EXIT_FAILED)


def _plan(given: list[str], save_dir: str | None) -> tuple[list[Source], Saver | None]:
    """What is to be classified, and what saves the results: checked before anything is computed."""
    from worker.predict.inputs import find_sources  # noqa: PLC0415
    from worker.predict.saving import make_saver  # noqa: PLC0415

    sources: list[Source] = []
    for each in given:
        sources += find_sources(_lines() if each == STANDARD_INPUT else each)
    return sources, None if save_dir is None else make_saver(save_dir, sources)


def _lines() -> list[str]:
    lines = (line.strip() for line in sys.stdin.buffer)
    return [os.fsdecode(line) for line in lines if line]
