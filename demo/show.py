"""What the demo prints."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from demo.figures import Figures
from demo.jars import Progress as Report
from worker.cli.rows import wrap
from worker.cli.submit_report import AnswerTable, output_record
from worker.settings import Settings
from worker.submit import ItemResult

__all__ = ["bar", "show_answers", "show_figures", "show_running"]


@contextmanager
def bar(console: Console, what: str) -> Iterator[Report]:
    """Show a progress bar while the block runs.

    Yields:
        A function to call with the work that is done, and the work in all.
    """
    progress = Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), console=console)
    task = progress.add_task(what, total=None)
    with progress:
        yield lambda done, total: progress.update(task, completed=done, total=total)


def show_answers(console: Console, answers: Sequence[ItemResult], pictures: Path) -> None:
    """Print the table of all jobs.

    Args:
        pictures: directory of the results' pictures.
    """
    table = AnswerTable(console.width, [answer.item.name for answer in answers])
    for answer in answers:
        encoding = answer.item.encoding.value
        for line, style in table.lines(answer.number, encoding, output_record(answer)):
            console.out(line, style=style, highlight=False)
    for line in wrap(f"Pictures, as NUMBER-NAME.jpg, are in {pictures}", console.width):
        console.out(line, highlight=False)


def show_figures(console: Console, figures: Figures, seconds: float) -> None:
    """Print throughput and latency, from the worker's own metrics.

    Args:
        seconds: from the first job to the last answer.
    """
    levels = ", ".join(
        f"p{100 * level:.0f} {value:.2f} s" for level, value in figures.latency.items()
    )
    console.print(
        f"/metrics: {figures.succeeded} jobs succeeded, {figures.failed} failed; "
        f"{figures.jobs / seconds:.1f} jobs/s over {seconds:.1f} s, all of them sent at once\n"
        f"/metrics: latency from record to acknowledged result: {levels}",
        markup=False,
        highlight=False,
    )


def show_running(console: Console, settings: Settings, url: str, out: Path, example: Path) -> None:
    """Print the addresses of what is running, and how to use it.

    Args:
        url: of the worker's HTTP server.
        example: an image to submit.
    """
    kafka = settings.kafka
    topics = f"{kafka.jobs_topic} (jobs), {kafka.results_topic}, {kafka.dead_letters_topic}"
    program = f"{sys.executable} -m worker"
    submit = f"{program} submit --bootstrap-servers {kafka.bootstrap_servers}"
    lines = (
        "Running until Ctrl-C:",
        f"  Kafka    {kafka.bootstrap_servers}",
        f"  topics   {topics}",
        f"  model    {settings.model}",
        f"  metrics  {url}/metrics (and /livez, /readyz)",
        f"  log      {out / 'worker.log'}",
        "Publish a job of your own from another terminal, and see its result:",
        f"  {submit} --save-dir {out / 'mine'} {example}",
        "Have the worker serve another model, such as one that you have trained:",
        f"  {program} model set DIR --url {url}",
    )
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
