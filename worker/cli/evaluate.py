"""`classify-worker evaluate`: how good a model is on labelled images."""

from __future__ import annotations

import enum
from pathlib import Path, PurePath
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
    Model,
    Overrides,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.datasets import Dataset
    from worker.evaluation.report import Report
    from worker.evaluation.run import Evaluation

__all__ = ["evaluate"]

BATCH = 8
"""Images that the network computes at once, unless the user or a setting says otherwise."""

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
            help="Which of them; by default test if there is one, else val, else all.",
            show_default=False,
            rich_help_panel=INPUT_GROUP,
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            metavar="N",
            help="By which data that are not split are split, as train does it.",
            rich_help_panel=INPUT_GROUP,
        ),
    ] = 0,
    model: Model = None,
    device: Device = None,
    batch_size: BatchSize = None,
    use_hpip: Annotated[
        bool | None,
        typer.Option(
            "--use-hpip/--no-use-hpip",
            help="Take the fastest backend that agrees with Paddle.",
            show_default=False,
            rich_help_panel=MODEL_GROUP,
        ),
    ] = None,
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
    from worker.cli.status import Status  # noqa: PLC0415
    from worker.datasets import digest, open_dataset  # noqa: PLC0415
    from worker.evaluation.report import Report  # noqa: PLC0415
    from worker.evaluation.selection import select  # noqa: PLC0415
    from worker.logs import configure  # noqa: PLC0415
    from worker.settings import LogSettings  # noqa: PLC0415

    configure(LogSettings(level="warning", format="console"))
    options = {"device": device, "batch_size": batch_size, "use_hpip": use_hpip}
    with open_dataset(data) as dataset:
        with Status("reading the data"):
            selection = select(dataset, None if split is None else split.value, seed)
            data_digest = digest(selection.dataset)
        first = _evaluate(selection.dataset, config, overrides or (), {"model": model, **options})
        second = None
        if against is not None or against_overrides:
            given = [*(overrides or ()), *(against_overrides or ())]
            second = _evaluate(
                selection.dataset, config, given, {"model": against or model, **options}
            )
        found = Report(selection, data_digest, first, second)
        _write(found, report, baseline)
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


def _evaluate(
    dataset: Dataset,
    config: Path | None,
    overrides: Sequence[str],
    options: Mapping[str, object | None],
) -> Evaluation:
    """Load a model with its own settings, and evaluate it."""
    from rich.console import Console  # noqa: PLC0415

    from worker.cli.classifier import load_classifier  # noqa: PLC0415
    from worker.cli.predict_settings import pipeline_config, refuse_others  # noqa: PLC0415
    from worker.cli.report import progress_bar  # noqa: PLC0415
    from worker.cli.status import Status  # noqa: PLC0415
    from worker.evaluation.run import evaluate as measure  # noqa: PLC0415
    from worker.model.locate import explain_choice  # noqa: PLC0415
    from worker.predict.template import PIPELINE_NAME  # noqa: PLC0415
    from worker.settings import ResultCacheSettings  # noqa: PLC0415
    from worker.settings.sources import load  # noqa: PLC0415

    loaded = load(config, overrides)
    refuse_others(loaded, "evaluate")
    if options["batch_size"] is None and not loaded.settings.batching.max_batch:
        options = {**options, "batch_size": BATCH}
    chosen = pipeline_config(PIPELINE_NAME, loaded, options)
    # What is kept has no scores of all classes, and an image seldom comes twice.
    settings = loaded.settings.model_copy(update={"result_cache": ResultCacheSettings()})
    name = PurePath(chosen.model).name
    with Status(f"loading {name}") as status:
        classifier = load_classifier(chosen, settings, status)
    if choice := explain_choice(chosen.model, classifier.spec.directory):
        typer.echo(f"classify-worker: {choice}", err=True)
    console = Console(stderr=True)
    bar = progress_bar(console, f"evaluated by {name}", disable=not console.is_terminal)
    with classifier, bar:
        task = bar.add_task("", total=len(dataset.items))
        return measure(classifier, dataset, lambda: bar.advance(task))


def _write(found: Report, report: Path | None, baseline: Path | None) -> None:
    from worker.cache import write_whole  # noqa: PLC0415
    from worker.drift.baseline import write_baseline  # noqa: PLC0415
    from worker.errors import WorkerError  # noqa: PLC0415
    from worker.evaluation.page.page import page  # noqa: PLC0415

    evaluation = found.evaluation
    if baseline is not None:
        model = evaluation.model
        counted = evaluation.baseline.baseline(model.name, model.digest, found.data_digest)
        write_baseline(baseline, counted)
    if report is None:
        return
    try:
        report.mkdir(parents=True, exist_ok=True)
        write_whole(report / "report.json", found.as_json())
        write_whole(report / "report.html", page(found))
    except OSError as error:
        raise WorkerError(f"the report in {report} cannot be written: {error.strerror}") from error
