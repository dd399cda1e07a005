"""`classify-worker top`: what running workers do, live, from their `/metrics`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.options import EXIT_FAILED

if TYPE_CHECKING:
    from rich.console import Console

    from worker.top.scrape import Address

__all__ = ["top"]

DEFAULT = "http://127.0.0.1:8080"


def top(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="URL", help=f"Workers, as http://host:8080 or host; {DEFAULT} by default."
        ),
    ] = None,
    interval: Annotated[
        float,
        typer.Option(
            "--interval",
            "-n",
            min=0.2,
            max=3600,
            metavar="SECONDS",
            help="Time between looks.",
        ),
    ] = 2.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look twice, print the figures, and end.")
    ] = False,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", metavar="FILE", help="A token, where http.protect_metrics is on."
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            "--ca-file",
            metavar="FILE",
            help="PEM file of authorities to trust for https; the system's by default.",
        ),
    ] = None,
) -> None:
    """Watch workers live: throughput, latency, lag, stages, batches; q quits.

    Several workers have a row each, and one for all. With --once, or where standard output is no
    terminal, the exit code is 1 if a worker does not answer.

    Example:
        classify-worker top http://worker-1:8080 http://worker-2:8080
    """
    # Here, so that `--help` and other commands do not pay for them.
    from rich.console import Console  # noqa: PLC0415

    from worker.top.credentials import read_credentials  # noqa: PLC0415
    from worker.top.scrape import read_address  # noqa: PLC0415

    try:
        credentials = read_credentials(token_file, ca_file)
        addresses = [read_address(url, credentials) for url in urls or [DEFAULT]]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    console = Console(highlight=False)
    if once or not console.is_terminal or console.is_dumb_terminal:
        _print(addresses, interval, console)
    else:
        _live(addresses, interval, console)


def _print(addresses: list[Address], interval: float, console: Console) -> None:
    from worker.cli.top_screen import NARROWEST, render  # noqa: PLC0415
    from worker.top.watch import look_twice  # noqa: PLC0415

    seen = look_twice(addresses, interval)
    # A file or a pipe has no width to keep to.
    console.width = max(NARROWEST, console.width)
    for line in render(seen):
        console.print(line, soft_wrap=True)
    if any(one.problem for one in seen):
        raise typer.Exit(EXIT_FAILED)


def _live(addresses: list[Address], interval: float, console: Console) -> None:
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from worker.cli.keyboard import Keyboard, Pressed  # noqa: PLC0415
    from worker.cli.top_screen import render  # noqa: PLC0415
    from worker.top.watch import Watch  # noqa: PLC0415

    with (
        Keyboard() as keyboard,
        console.screen() as screen,
        Watch(addresses, interval, keyboard.wake) as watch,
    ):
        pressed = Pressed.NOTHING
        while pressed is not Pressed.QUIT:
            footer = Text(f"{time.strftime('%H:%M:%S')}  q quits", "dim")
            lines = [*render(watch.seen, console.height), footer]
            for line in lines:
                line.truncate(console.width)
            screen.update(Group(*lines))
            pressed = keyboard.wait(interval)
    if keyboard.status:
        raise typer.Exit(keyboard.status)
