"""`classify-worker submit`: send images as jobs through Kafka, and wait for their results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from worker.cli.interrupts import run_until_interrupted
from worker.cli.options import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    INPUT_GROUP,
    OUTPUT_GROUP,
    Config,
    Format,
    Inputs,
    OutputFile,
    OutputFormat,
    Overrides,
)

if TYPE_CHECKING:
    from worker.submit import Item

__all__ = ["submit"]

KAFKA_GROUP = "Kafka"


def submit(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    positional: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Images: files, URLs, glob patterns, and directories, which are searched; for -, "
            "lines of standard input, each a path, a URL or a job in JSON.",
            show_default=False,
            rich_help_panel=INPUT_GROUP,
        ),
    ] = None,
    inputs: Inputs = None,
    send_as: Annotated[
        Literal["base64", "raw", "url"],
        typer.Option(
            "--as",
            metavar="base64|raw|url",
            help="How files are sent: as Base64 in JSON, as they are, or as the URL of a server "
            "that runs here meanwhile (the worker must be allowed to fetch from it).",
            rich_help_panel=INPUT_GROUP,
        ),
    ] = "base64",
    serve_host: Annotated[
        str,
        typer.Option(
            "--serve-host",
            metavar="HOST",
            help="With --as url: this machine's address for the worker.",
            rich_help_panel=INPUT_GROUP,
        ),
    ] = "127.0.0.1",
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            "--bootstrap-servers",
            metavar="HOST:PORT",
            help="Brokers, instead of kafka.bootstrap_servers.",
            show_default=False,
            rich_help_panel=KAFKA_GROUP,
        ),
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option(
            "--topic",
            metavar="TOPIC",
            help="Jobs topic, instead of kafka.jobs_topic.",
            show_default=False,
            rich_help_panel=KAFKA_GROUP,
        ),
    ] = None,
    results_topic: Annotated[
        str | None,
        typer.Option(
            "--results-topic",
            metavar="TOPIC",
            help="Results topic, instead of kafka.results_topic.",
            show_default=False,
            rich_help_panel=KAFKA_GROUP,
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0.1,
            help="How long each job has, from its turn to be sent to its result.",
            rich_help_panel=KAFKA_GROUP,
        ),
    ] = 60.0,
    top_k: Annotated[
        int | None,
        typer.Option(
            "--top-k",
            "-k",
            metavar="N",
            min=1,
            help="Most categories per image; without it the worker decides.",
            show_default=False,
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    visualize: Annotated[
        bool,
        typer.Option(
            "--visualize/--no-visualize",
            help="Whether results have a picture.",
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = True,
    save_dir: Annotated[
        str | None,
        typer.Option(
            "--save-dir",
            metavar="DIR|FILE",
            help="Save the results' pictures in this directory, as NUMBER-NAME.jpg; of a single "
            "image, its picture or JSON in this file, such as out.jpg or out.json.",
            show_default=False,
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    output_format: Format = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="The same as --format json.", rich_help_panel=OUTPUT_GROUP),
    ] = False,
    output: OutputFile = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Submit images as jobs to a worker, through Kafka, and wait for exactly their results.

    A job that failed, could not be read or got no result in time costs the exit code 1; the others
    are answered all the same. The worker chooses model and device: see classify-worker run.

    Examples:
        classify-worker submit photos/ --save-dir out
        find . -name '*.png' | classify-worker submit -
    """
    given = [*(inputs or ()), *(positional or ())]
    if not given:
        raise typer.BadParameter(
            "name an image, a directory or a URL, as in classify-worker submit cat.jpg",
            param_hint="INPUT",
        )
    if output_format is OutputFormat.TEXT:
        raise typer.BadParameter("text is for predict alone: use table, json or csv")
    if as_json and output_format not in (None, OutputFormat.JSON):
        raise typer.BadParameter("--json is --format json: leave one of the two out")
    # Here, so that `--help` and other commands do not pay for loading them.
    import logging  # noqa: PLC0415

    from worker.cli.output_file import OutputFile as ResultFile  # noqa: PLC0415
    from worker.cli.status import Status  # noqa: PLC0415
    from worker.errors import WorkerError  # noqa: PLC0415
    from worker.logs import configure  # noqa: PLC0415
    from worker.settings import LogSettings  # noqa: PLC0415
    from worker.settings.sources import load  # noqa: PLC0415

    file = None if output is None else ResultFile(output)
    topics = {
        "kafka.jobs_topic": topic,
        "kafka.results_topic": results_topic,
        "kafka.bootstrap_servers": bootstrap_servers,
    }
    options_given = [f"{key}={value}" for key, value in topics.items() if value is not None]
    settings = load(config, [*(overrides or ()), *options_given]).settings
    # That a client connects is no news for the user of a terminal.
    configure(LogSettings(level="warning", format="console"))
    client = logging.getLogger("aiokafka")
    # Until it is connected, the error that is raised says all that its log would.
    client.setLevel(logging.CRITICAL)
    with Status(f"connecting to {settings.kafka.bootstrap_servers}") as status:
        # Loading clients and codecs takes part of a second.
        from worker.cli.submit_report import AnswerReport  # noqa: PLC0415
        from worker.submit import Encoding, Options, Submission, find_items  # noqa: PLC0415
        from worker.submit.saving import FileSaver, make_saver, single_item  # noqa: PLC0415

        saver = None if save_dir is None else make_saver(save_dir)
        options = Options(
            top_k=top_k,
            visualize=visualize,
            timeout=timeout,
            saver=saver,
            serve_host=serve_host,
        )

        async def run(report: AnswerReport) -> None:
            def take(item: Item) -> None:
                status.end()
                client.setLevel(logging.WARNING)
                report.take(item)

            items = find_items(given, Encoding(send_as))
            if isinstance(saver, FileSaver):
                items = await single_item(items, saver.file)
            await Submission(settings, options, take, report.add).run(items)

        with AnswerReport(OutputFormat.JSON if as_json else output_format, file) as report:
            ended = run_until_interrupted(run(report))
    if not ended:
        raise typer.Exit(EXIT_INTERRUPTED)
    if report.failed:
        raise typer.Exit(EXIT_FAILED)
    if isinstance(saver, FileSaver) and report.ended and report.saved is None:
        raise WorkerError(
            f"{saver.file} was not written, since the result has no picture: see --visualize, and "
            "picture.enabled and the results topic's max.message.bytes at the worker"
        )
