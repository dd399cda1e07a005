"""`classify-worker evaluate`: how good a model is on labelled images."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.options import (
    EXIT_FAILED,
    INPUT_GROUP,
    OUTPUT_GROUP,
    BatchSize,
    Config,
    Device,
    Model,
    Overrides,
    UseHpip,
)

__all__ = ["evaluate"]

AGAINST_GROUP = "Comparison"


class Images(enum.StrEnum):
    """Which images are evaluated."""

    TEST = "test"
    VAL = "val"
    TRAIN = "train"
    ALL = "all"


def evaluate(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    data: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            metavar="DATA",
            help="Labelled images: DIR/CLASS/*, DIR/{train,val,test}/CLASS/*, PaddleX's train.txt, "
            "val.txt and label.txt, a CSV file, or a ZIP archive of any of these.",
            show_default=False,
            rich_help_panel=INPUT_GROUP,
        ),
    ],
    split: Annotated[
        Images | None,
        typer.Option(
            "--split",
            metavar="|".join(Images),
            help="Which of them; by default test if there is one or the model's training kept one, "
            "else val, else all.",
            show_default=False,
            rich_help_panel=INPUT_GROUP,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            help="By which data that are not split are split, as train does it; by default the "
            "seed of the model's training on them, else 0.",
            show_default=False,
            rich_help_panel=INPUT_GROUP,
        ),
    ] = None,
    model: Model = None,
    device: Device = None,
    batch_size: BatchSize = None,
    use_hpip: UseHpip = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="DIR",
            help="Write report.json and report.html into this directory.",
            show_default=False,
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print report.json.", rich_help_panel=OUTPUT_GROUP),
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline",
            metavar="FILE",
            help="Write what a worker compares its own answers with (drift.baseline).",
            show_default=False,
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    min_top1: Annotated[
        float | None,
        typer.Option(
            "--min-top1",
            metavar="SHARE",
            min=0,
            max=1,
            help="Exit with 1 if a smaller share is right, such as 0.9.",
            show_default=False,
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="NAME|DIR",
            help="Evaluate this model too, and compare both.",
            show_default=False,
            rich_help_panel=AGAINST_GROUP,
        ),
    ] = None,
    against_overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--against-set",
            metavar="KEY=VALUE",
            help="A setting of the second model alone, such as predictor.backend=openvino; without "
            "--against of the same model.",
            show_default=False,
            rich_help_panel=AGAINST_GROUP,
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Measure how good a model is on labelled images, with the same path as predict.

    Top-1 and top-5 with their 95 % intervals, figures of each class, which classes are confused,
    whether scores mean what they say, and labels that are likely wrong. Classes are matched by
    name. An image that cannot be used is named, and counts nowhere.

    Examples:
        classify-worker evaluate --model output/ --data flowers/ --report report
        classify-worker evaluate --model output/ --data flowers/ --min-top1 0.9
        classify-worker evaluate --model new/ --against old/ --data flowers/ --report report
    """
    _check_outputs(report, baseline)
    # Here, so that `--help` and other commands do not pay for loading them.
    from worker.cli.evaluate_report import print_report  # noqa: PLC0415
    from worker.cli.evaluate_work import check_model, choose, measure, write  # noqa: PLC0415
    from worker.cli.status import Status  # noqa: PLC0415
    from worker.datasets import digest, open_dataset  # noqa: PLC0415
    from worker.evaluation.report import Report  # noqa: PLC0415
    from worker.evaluation.selection import select  # noqa: PLC0415
    from worker.evaluation.trained import training_on  # noqa: PLC0415
    from worker.logs import configure  # noqa: PLC0415
    from worker.settings import LogSettings  # noqa: PLC0415

    configure(LogSettings(level="warning", format="console"))
    options = {"device": device, "batch_size": batch_size, "use_hpip": use_hpip}
    given = list(overrides or ())
    first, second = choose(config, given, {"model": model, **options}), None
    if against is not None or against_overrides:
        given += against_overrides or ()
        second = choose(config, given, {"model": against or model, **options})
        check_model(second)
    with open_dataset(data) as dataset:
        with Status("reading the data"):
            models = [each.config.model for each in (first, second) if each is not None]
            trained = training_on(dataset, models)
            selection = select(dataset, None if split is None else split.value, seed, trained)
            data_digest = digest(selection.dataset)
        evaluation = measure(first, selection.dataset)
        other = None if second is None else measure(second, selection.dataset)
        found = Report(selection, data_digest, evaluation, other)
        write(found, report, baseline)
    if as_json:
        typer.echo(found.as_json(), nl=False)
    print_report(found, figures=not as_json, report=report, baseline=baseline)
    top1 = found.summary.top1.value
    if min_top1 is not None and top1 < min_top1:
        typer.echo(f"classify-worker: top-1 is {top1:.4f}, below --min-top1 {min_top1:g}", err=True)
        raise typer.Exit(EXIT_FAILED)


def _check_outputs(report: Path | None, baseline: Path | None) -> None:
    """Now, rather than after minutes."""
    if report is not None and report.exists() and not report.is_dir():
        raise typer.BadParameter(
            f"{report} is a file: name a directory, which gets report.json and report.html",
            param_hint="--report",
        )
    if baseline is not None and baseline.is_dir():
        raise typer.BadParameter(
            f"{baseline} is a directory: name a file in it", param_hint="--baseline"
        )
