"""All commands under one name, and the exit codes of their errors."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from worker import __version__
from worker.cli.bench import bench
from worker.cli.config import config
from worker.cli.dataset import dataset
from worker.cli.dead_letters import dead_letters
from worker.cli.doctor import doctor
from worker.cli.evaluate import evaluate
from worker.cli.health import health
from worker.cli.help import Command, Group, canonical_name
from worker.cli.model import model
from worker.cli.models import models
from worker.cli.options import EXIT_FAILED, EXIT_UNAVAILABLE, EXIT_USAGE
from worker.cli.paddlex import command_instead
from worker.cli.predict import predict
from worker.cli.run import run, serve
from worker.cli.submit import submit
from worker.cli.top import top
from worker.cli.train import train
from worker.errors import (
    KafkaSetupError,
    ModelError,
    PredictorError,
    SettingsError,
    UnfitSystemError,
    WorkerError,
)

if TYPE_CHECKING:
    from worker.runtime.signals import StopSignals

__all__ = ["app", "run_command_line"]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What standard output fails with where it is a file on a full disk."""

app = typer.Typer(
    name="classify-worker",
    help="Image classification on a Kafka stream: jobs in, categories and pictures out.\n\n"
    "Exit codes: 0 done, 1 something failed, 2 wrong usage or settings, "
    "3 Kafka, the model or a library that they need cannot be used.\n\n"
    "Examples:\n"
    "    classify-worker predict cat.jpg\n"
    "    classify-worker serve --port 8080\n"
    "    classify-worker run --config worker.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    cls=Group,
    # Its tables break names and paths, in help and in errors.
    rich_markup_mode=None,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": canonical_name,
    },
)
COMMANDS = (run, serve, submit, predict, train, evaluate, top, bench, config, doctor, health)
for command in COMMANDS:
    app.command(cls=Command)(command)
app.add_typer(models)
app.add_typer(model)
app.add_typer(dataset)
app.add_typer(dead_letters)


def run_command_line(signals: StopSignals | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        signals: what stops a worker, for the commands that run one.
    """
    if instead := command_instead(sys.argv[1:]):
        _die(instead, EXIT_USAGE)
    try:
        try:
            app(obj=signals)
        finally:
            # Now, while a full disk can still be reported below.
            sys.stdout.flush()
    except SettingsError as error:
        _die(error, EXIT_USAGE)
    except (KafkaSetupError, UnfitSystemError, ModelError, PredictorError) as error:
        _die(error, EXIT_UNAVAILABLE)
    except WorkerError as error:
        _die(error, EXIT_FAILED)
    except BrokenPipeError:
        # The reader has gone, as `head` does.
        _give_up_stdout()
        sys.exit(EXIT_FAILED)
    except OSError as error:
        # A full disk, a file that cannot be written.
        _give_up_stdout()
        name = "" if error.filename is None else f"{error.filename}: "
        if error.errno in NO_ROOM and not name:
            name = "standard output cannot be written: "
        _die(f"{name}{error.strerror or error}", EXIT_FAILED)
    sys.exit(0)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _give_up_stdout() -> None:
    """Point standard output at nothing, so that the interpreter's exit does not write again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _die(error: Exception | str, status: int) -> NoReturn:
    # Errors are rare, and most commands log nothing.
    from worker.cli.rows import printable_lines, wrap_lines  # noqa: PLC0415
    from worker.logs import say  # noqa: PLC0415

    # Names in it may be those of files and topics that others made.
    text = printable_lines(f"classify-worker: {error}")
    if sys.stderr.isatty():
        text = wrap_lines(text, shutil.get_terminal_size().columns)
    say(text)
    sys.exit(status)
