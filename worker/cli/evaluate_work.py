"""What `evaluate` does: chooses models by options and settings, measures them, writes files."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

import typer
from rich.console import Console

from worker.cache import models_directory, write_whole
from worker.cli.classifier import load_classifier
from worker.cli.followed import refuse_others
from worker.cli.predict_settings import EVALUATE_FOLLOWS, pipeline_config
from worker.cli.report import progress_bar
from worker.cli.status import Status
from worker.drift.baseline import write_baseline
from worker.errors import WorkerError
from worker.evaluation.page.page import page
from worker.evaluation.run import evaluate
from worker.model import load_model_spec
from worker.model.locate import explain_choice
from worker.predict import PipelineConfig
from worker.predict.template import PIPELINE_NAME
from worker.settings import ResultCacheSettings, Settings
from worker.settings.sources import load
from worker.zoo.download import unwatched
from worker.zoo.resolve import resolve_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.datasets import Dataset
    from worker.evaluation.report import Report
    from worker.evaluation.run import Evaluation

__all__ = ["Choice", "check_model", "choose", "measure", "write"]

BATCH = 8
"""Images that the network computes at once, unless the user or a setting says otherwise."""


class Choice(NamedTuple):
    """A model, and how it is run."""

    config: PipelineConfig
    settings: Settings


def choose(
    config: Path | None, overrides: Sequence[str], options: Mapping[str, object | None]
) -> Choice:
    """Choose a model.

    Args:
        config: the file of settings.
        overrides: settings of the command line.
        options: what the command line gives, by the names of `PipelineConfig`.

    Returns:
        The choice; its results are not kept.

    Raises:
        SettingsError: an option or a setting is not right, or has no effect here.
    """
    loaded = load(config, overrides)
    refuse_others(loaded, "evaluate", EVALUATE_FOLLOWS)
    if options["batch_size"] is None and not loaded.settings.batching.max_batch:
        options = {**options, "batch_size": BATCH}
    chosen = pipeline_config(PIPELINE_NAME, loaded, options)
    # What is kept has no scores of all classes, and an image seldom comes twice.
    settings = loaded.settings.model_copy(update={"result_cache": ResultCacheSettings()})
    return Choice(chosen, settings)


def check_model(choice: Choice) -> None:
    """Read a model's description now, rather than after another one was measured for an hour.

    Raises:
        ModelError: the model is missing, damaged or cannot be downloaded.
    """
    settings, model = choice.settings, choice.config.model
    cache = settings.model_cache or models_directory()
    with Status(f"looking for {PurePath(model).name}"):
        load_model_spec(resolve_model(model, cache, settings.zoo, lambda _: unwatched))


def measure(choice: Choice, dataset: Dataset) -> Evaluation:
    """Load a model and evaluate it, with a progress bar.

    Returns:
        The evaluation; see `evaluate` and `ImageClassificationPipeline` for what they raise.
    """
    name = PurePath(choice.config.model).name
    with Status(f"loading {name}") as status:
        classifier = load_classifier(choice.config, choice.settings, status)
    if explained := explain_choice(choice.config.model, classifier.spec.directory):
        typer.echo(f"classify-worker: {explained}", err=True)
    console = Console(stderr=True)
    bar = progress_bar(console, f"evaluated by {name}", disable=not console.is_terminal)
    with classifier, bar:
        task = bar.add_task("", total=len(dataset.items))
        return evaluate(classifier, dataset, lambda: bar.advance(task))


def write(found: Report, report: Path | None, baseline: Path | None) -> None:
    """Write what was asked for.

    Args:
        report: the directory of `report.json` and `report.html`.
        baseline: the file of the drift baseline.

    Raises:
        WorkerError: a file cannot be written; the message says why.
    """
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
