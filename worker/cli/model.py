"""`classify-worker model`: the model of a running worker, and having it serve another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.help import Command, Group
from worker.cli.options import EXIT_FAILED, EXIT_UNAVAILABLE

if TYPE_CHECKING:
    from worker.cli.model_request import Answer

__all__ = ["model", "tell"]

DEFAULT = "http://127.0.0.1:8080"

model = typer.Typer(
    name="model",
    help="The model of a running worker: show it, or have another one take its place.\n\n"
    "Example:\n"
    "    classify-worker model set my_model/ --url http://127.0.0.1:8080",
    no_args_is_help=True,
    cls=Group,
    rich_markup_mode=None,
)

Url = Annotated[
    str,
    typer.Option(
        "--url",
        metavar="URL",
        help=f"The worker, where its metrics are (http.metrics_port); {DEFAULT} by default.",
        show_default=False,
    ),
]

TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="A token, where http.token_file is set; without that setting only the worker's own "
        "machine may ask.",
        show_default=False,
    ),
]

CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        help="PEM file of authorities to trust for https; the system's by default.",
        show_default=False,
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a sentence.")]


@model.command("set", cls=Command)
def set_model(
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR",
            help="A model's name, or its directory on the worker's machine.",
            show_default=False,
        ),
    ],
    url: Url = DEFAULT,
    timeout: Annotated[
        float,
        typer.Option(
            min=1.0,
            metavar="SECONDS",
            help="Time for the change; it goes on if nobody waits any more.",
        ),
    ] = 900.0,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Change the model of a running worker, and wait until the new one serves.

    No job is lost, and no partition moves: the new model is loaded beside the old one, which goes
    when its last job is done. If the new one cannot be loaded, or fails on the golden images of
    model_check, the old one serves on and the exit code is 1. When the worker starts again, it has
    the model of its settings.

    Examples:
        classify-worker model set PP-LCNet_x1_0
        classify-worker model set OUT/best_model --url http://worker-1:8080 --token-file token
    """
    directory = Path(wanted).expanduser()
    if directory.is_dir():
        # The worker's own directory may be another one.
        wanted = str(directory.absolute())
    answer = _ask(url, wanted, timeout, token_file, ca_file)
    if answer.result is None:
        _say(f"classify-worker: {answer.message}", err=True)
        raise typer.Exit(EXIT_FAILED)
    if as_json:
        typer.echo(json.dumps(answer.result, indent=2))
    else:
        tell(answer.result)
    if answer.status != 200:
        raise typer.Exit(EXIT_FAILED)


@model.command(cls=Command)
def show(
    url: Url = DEFAULT,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show which model a running worker serves, and how its last change ended.

    Example:
        classify-worker model show --url http://worker-1:8080
    """
    answer = _ask(url, None, 10.0, token_file, ca_file)
    if answer.result is None:
        _say(f"classify-worker: {answer.message}", err=True)
        raise typer.Exit(EXIT_FAILED)
    if as_json:
        typer.echo(json.dumps(answer.result, indent=2))
        return
    _say(f"serves {_named(answer.result['model'])}")
    if (change := answer.result.get("change")) is not None:
        _say(f"changing to {change['wanted']}: {change['step']}")
    if (last := answer.result.get("last")) is not None:
        _say(f"last change, to {last['wanted']}: {last['outcome']}, {last['message']}")


def _ask(
    url: str, wanted: str | None, timeout: float, token_file: Path | None, ca_file: Path | None
) -> Answer:
    # Here, so that `--help` and other commands do not pay for them.
    from worker.cli.model_request import NoAnswerError, request  # noqa: PLC0415
    from worker.cli.model_steps import Steps  # noqa: PLC0415
    from worker.top.credentials import read_credentials  # noqa: PLC0415
    from worker.top.scrape import read_address  # noqa: PLC0415

    try:
        address = read_address(url, read_credentials(token_file, ca_file))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    try:
        if wanted is None:
            return request(address, None, timeout)
        with Steps(address, wanted):
            return request(address, wanted, timeout)
    except NoAnswerError as error:
        _say(f"classify-worker: {error}", err=True)
        raise typer.Exit(EXIT_UNAVAILABLE) from error


def tell(change: dict[str, Any]) -> None:
    """Print how a change ended.

    Args:
        change: as `/admin/model` answers.
    """
    serving = _named(change["model"])
    match change["outcome"]:
        case "changed":
            # A trained model may be called like the one before it.
            alike = change["model"]["name"] == change["former"]["name"]
            where = f" from {change['wanted']}" if alike else ""
            _say(f"serves {serving}{where}, in place of {_named(change['former'])}")
        case "unchanged":
            _say(f"serves {serving}, as before")
        case _:
            _say(f"classify-worker: {change['message']}", err=True)
            _say(f"serves {serving}, as before", err=True)
    if (check := change.get("check")) is not None:
        failed = change["outcome"] == "check_failed"
        _say(f"golden images: {check['right']} of {check['images']} right", err=failed)


def _named(identity: dict[str, Any]) -> str:
    return f"{identity['name']} ({identity['digest'][:19]}, {identity['backend']})"


def _say(text: str, *, err: bool = False) -> None:
    from worker.cli.rows import printable_lines  # noqa: PLC0415 - as above

    # Whatever answers at the address has made it up.
    typer.echo(printable_lines(text), err=err)
