"""`classify-worker submit`: send images as jobs through Kafka, and wait for their results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from worker.cli.interrupts import run_until_interrupted
from worker.cli.options import EXIT_FAILED, EXIT_INTERRUPTED, Config, Overrides

__all__ = ["submit"]


def submit(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH|URL|DIR|GLOB|-...",
            help="What to submit. Directories are searched for images; - reads lines from standard "
            "input, each a path, a URL or a job in JSON.",
            show_default=False,
        ),
    ],
    topic: Annotated[
        str | None, typer.Option(help="Jobs topic, instead of kafka.jobs_topic.")
    ] = None,
    results_topic: Annotated[
        str | None, typer.Option(help="Results topic, instead of kafka.results_topic.")
    ] = None,
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="Brokers, instead of kafka.bootstrap_servers.")
    ] = None,
    send_as: Annotated[
        Literal["base64", "raw", "url"],
        typer.Option(
            "--as",
            help="How files are sent: as Base64 in JSON, as they are, or as the URL of a server "
            "that runs here meanwhile (the worker must be allowed to fetch from it).",
        ),
    ] = "base64",
    serve_host: Annotated[
        str,
        typer.Option(metavar="HOST", help="With --as url: this machine's address for the worker."),
    ] = "127.0.0.1",
    top_k: Annotated[
        int | None, typer.Option("--top-k", min=1, help="Categories; else the worker decides.")
    ] = None,
    visualize: Annotated[
        bool, typer.Option("--visualize/--no-visualize", help="Whether results have a picture.")
    ] = True,
    save_dir: Annotated[
        Path | None,
        typer.Option("--save-dir", metavar="DIR", help="Save pictures here.", file_okay=False),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for a job's result once it is sent.")
    ] = 60.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON lines; the default where no terminal is.")
    ] = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Submit images as jobs and wait for exactly their results.

    Exit code 1 if a job failed, could not be read or got no result in time; the others are answered
    all the same.

    Example: classify-worker submit --bootstrap-servers localhost:9092 --save-dir out photos/
    """
    # Here, so that `--help` and other commands do not pay for loading clients and codecs.
    from worker.cli.submit_report import AnswerFormat, AnswerReport  # noqa: PLC0415
    from worker.logs import configure  # noqa: PLC0415
    from worker.settings import LogSettings  # noqa: PLC0415
    from worker.settings.sources import load  # noqa: PLC0415

    given = {
        "kafka.jobs_topic": topic,
        "kafka.results_topic": results_topic,
        "kafka.bootstrap_servers": bootstrap_servers,
    }
    options_given = [f"{key}={value}" for key, value in given.items() if value is not None]
    settings = load(config, [*(overrides or ()), *options_given]).settings
    # Only what concerns the one at the terminal: a client that connects is no news.
    configure(LogSettings(level="warning", format="console"))
    # Now that the settings are right.
    from worker.submit import Encoding, Options, Submission, find_items  # noqa: PLC0415

    options = Options(
        top_k=top_k,
        visualize=visualize,
        timeout=timeout,
        save_dir=save_dir,
        serve_host=serve_host,
    )

    async def run(report: AnswerReport) -> None:
        submission = Submission(settings, options, report.take, report.add)
        await submission.run(find_items(sources, Encoding(send_as)))

    with AnswerReport(AnswerFormat.JSON if as_json else None) as report:
        ended = run_until_interrupted(run(report))
    if not ended:
        raise typer.Exit(EXIT_INTERRUPTED)
    if report.failed:
        raise typer.Exit(EXIT_FAILED)
