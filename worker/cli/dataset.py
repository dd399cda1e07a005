"""`classify-worker dataset`: looks at data sets before they are trained or tested with."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.help import Command, Group
from worker.cli.options import EXIT_FAILED, Config, Overrides

if TYPE_CHECKING:
    from worker.datasets.check import Checked
    from worker.datasets.dataset import Dataset
    from worker.settings import DecodeSettings

__all__ = ["dataset"]

FOLLOWED = ("decode.",)
"""Groups of the worker's settings that a check follows."""

dataset = typer.Typer(
    name="dataset",
    help="Data sets of labelled images: check one before it is trained or tested with.\n\n"
    "Example:\n"
    "    classify-worker dataset check flowers/",
    no_args_is_help=True,
    cls=Group,
    rich_markup_mode=None,
)


class ReportFormat(enum.StrEnum):
    """How the report is written."""

    TABLE = "table"
    JSON = "json"


@dataset.command("check", cls=Command)
def check_dataset(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A directory with a folder for each class, also within train, val and test; one "
            "with PaddleX's label.txt, train.txt and val.txt; a .csv file with the columns "
            "path,label or path,label,split; or a .zip file of any of these.",
            show_default=False,
        ),
    ],
    output: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="A table for people, or JSON.")
    ] = ReportFormat.TABLE,
    as_json: Annotated[
        bool, typer.Option("--json", help="The same as --format json.", show_default=False)
    ] = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Decode every image as the worker does, and name what is wrong with a data set.

    Wrong are files that cannot be read as images, classes with no image or one, class ids that
    label.txt lacks or that have gaps, one image under two labels, and the same image in two splits.
    Nothing is written: a data set is only read. Exit code 1 if something is wrong.

    Examples:
        classify-worker dataset check flowers/
        classify-worker dataset check labels.csv --format json
        classify-worker dataset check flowers.zip --set decode.max_pixels=100000000
    """
    # Here, so that `--help` and other commands do not pay for loading them.
    from worker.cli.dataset_report import as_plain, print_report  # noqa: PLC0415
    from worker.cli.followed import refuse_others  # noqa: PLC0415
    from worker.cli.status import Status  # noqa: PLC0415
    from worker.datasets.opening import open_dataset  # noqa: PLC0415
    from worker.logs import configure  # noqa: PLC0415
    from worker.settings import LogSettings  # noqa: PLC0415
    from worker.settings.sources import load  # noqa: PLC0415

    loaded = load(config, overrides or ())
    refuse_others(loaded, "dataset check", FOLLOWED)
    # What becomes of image processes is said of the image.
    configure(LogSettings(level="error", format="console"))
    with Status("reading the data set") as status, open_dataset(data, strict=False) as opened:
        status.end()  # its line and the progress bar's would overwrite each other
        checked = _check(opened, loaded.settings.decode)
    if as_json or output is ReportFormat.JSON:
        import json  # noqa: PLC0415 - a table needs none

        typer.echo(json.dumps(as_plain(checked), indent=2))
    else:
        print_report(checked)
    if not checked.usable:
        raise typer.Exit(EXIT_FAILED)


def _check(opened: Dataset, settings: DecodeSettings) -> Checked:
    from rich.console import Console  # noqa: PLC0415 - as above

    from worker.cli.report import progress_bar  # noqa: PLC0415
    from worker.datasets.check import check  # noqa: PLC0415

    console = Console(stderr=True)
    total = len({item.path for item in opened.items})
    with progress_bar(console, "checked", disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        return check(opened, settings, lambda: progress.advance(task))
