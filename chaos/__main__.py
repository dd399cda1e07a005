"""`make chaos`: run it and print what it found; ARGS="--help" tells what can be chosen."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import signal
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from chaos.checker import check
from chaos.options import Delivery, Options
from chaos.report import as_json, command_of, show
from chaos.run import run
from chaos.schedule import Kind
from worker.cli.help import Command
from worker.errors import WorkerError
from worker.logs import configure
from worker.settings import LogSettings

__all__ = ["main"]

BROKEN, FAILED, INTERRUPTED = 1, 2, 130

_KINDS = "\n".join(f"        {kind:20}{kind.meaning}" for kind in Kind)


def main(  # noqa: PLR0913, PLR0917 - an argument an option of the command line
    seed: Annotated[
        int | None, typer.Option(help="Of the jobs and of the schedule of faults; else drawn.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=100, help="Jobs to send.")] = 5000,
    faults: Annotated[int, typer.Option(min=0, help="Faults among them.")] = 25,
    delivery: Annotated[
        Delivery, typer.Option(help="What the workers promise.")
    ] = Delivery.AT_LEAST_ONCE,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="Results in order, at least once too.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=4, help="Worker processes.")] = 2,
    brokers: Annotated[
        int, typer.Option(min=1, max=3, help="Kafka nodes; 3: three replicas, two in sync.")
    ] = 3,
    minutes: Annotated[float, typer.Option(help="After which it is given up.")] = 15.0,
    only: Annotated[
        list[Kind] | None,
        typer.Option(metavar="KIND", help="Only faults of this kind; may be given again."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="File for the report, as JSON.")] = None,
    logs: Annotated[Path, typer.Option(help="Directory for the workers' logs.")] = Path(
        "out/chaos"
    ),
) -> None:
    """Disturb real workers on real Kafka by a seeded schedule of faults, and prove what is left.

    Jobs with unique ids are sent as raw images, Base64 and URLs. Faults happen among them, each
    after a certain number of answered jobs. Then all topics are read, and every job must have an
    outcome, no commit may have been ahead of one, and under exactly once none may have two. Exit
    codes: 0 all promises kept, 1 one was broken, 2 the run itself failed.

    A run repeats from its seed and the other arguments: the same faults among the same jobs.

    Examples:
        --seed 7                                     the standard run, with that seed
        --brokers 1 --jobs 1000 --faults 5           a minute
        --jobs 50000 --faults 200 --minutes 25       the long run of docs/reliability.md
        --delivery exactly_once --only worker-zombie --faults 10

    Kinds of faults:
    KINDS
    """
    options = Options(
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        jobs=jobs,
        faults=faults,
        kinds=tuple(only or Kind),
        delivery=delivery,
        ordered=ordered,
        workers=workers,
        brokers=brokers,
        minutes=minutes,
    )
    configure(LogSettings(level="error", format="console"))
    # What it says about brokers that are down on purpose would hide the rest.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # However it is ended, it stops what it has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise typer.Exit(_run(options, output, logs))


def _run(options: Options, output: Path | None, logs: Path) -> int:
    console = Console()
    logs.mkdir(parents=True, exist_ok=True)
    console.print(command_of(options), style="dim", markup=False, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            jobs = progress.add_task("jobs", total=options.jobs)
            faults = progress.add_task("faults", total=options.faults)

            def report(what: str, done: int, over: int) -> None:
                progress.update(jobs, completed=done)
                progress.update(faults, completed=over, description=what or "between faults")

            done = asyncio.run(run(options, logs, report))
    except KeyboardInterrupt:
        return INTERRUPTED
    except TimeoutError:
        console.print(
            f"Not over after {options.minutes:g} minutes; logs: {logs}. The same again: "
            f"{command_of(options)}",
            style="red",
            markup=False,
        )
        return FAILED
    except (WorkerError, KafkaError) as error:
        console.print(f"The run failed: {error}", style="red", markup=False, highlight=False)
        return FAILED
    findings = check(done.history)
    show(console, options, done, findings)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(as_json(options, done, findings), indent=2) + "\n", "utf-8")
    return BROKEN if findings.breaches else 0


if __name__ == "__main__":
    main.__doc__ = (main.__doc__ or "").replace("    KINDS", _KINDS)
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(cls=Command)(main)
    app(prog_name="python -m chaos")
