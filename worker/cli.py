"""The command line: `classify-worker run|config|submit`. Parses, calls, and turns errors into exit codes.

Exit codes: 0 done, 1 something failed, 2 wrong usage or settings, 3 Kafka or the model cannot be used.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from worker import __version__
from worker.cache import cache_directory
from worker.configuration import Loaded, load
from worker.configuration.show import print_settings
from worker.errors import KafkaSetupError, ModelError, PredictorError, SettingsError, WorkerError
from worker.failpoints import Failpoints
from worker.logs import configure
from worker.model import ModelSpec, find_model, load_model_spec
from worker.settings import Settings

__all__ = ["main"]

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 3

app = typer.Typer(
    name="classify-worker",
    help="Image classification on a Kafka stream: jobs in, categories and pictures out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="YAML file with settings; configs/worker.yaml shows all.",
        envvar="CLASSIFY_WORKER_CONFIG",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="Override one setting, such as kafka.group_id=mine; repeat for more.",
        show_default=False,
    ),
]


def main() -> NoReturn:
    """Run the command line and exit."""
    try:
        app()
    except SettingsError as error:
        _die(error, EXIT_USAGE)
    except (KafkaSetupError, ModelError, PredictorError) as error:
        _die(error, EXIT_UNAVAILABLE)
    except WorkerError as error:
        _die(error, EXIT_FAILED)
    sys.exit(0)


@app.command()
def run(config: Config = None, overrides: Overrides = None) -> None:
    """Work: classify jobs from Kafka until SIGTERM or SIGINT, then finish what was begun.

    Example: classify-worker run --config configs/worker.yaml --set model=models/PP-LCNet_x1_0
    """
    loaded = load(config, overrides or ())
    configure(loaded.settings.log)
    spec = _load_model(loaded.settings)
    _run_loop(_serve(loaded.settings, spec, Failpoints.from_environ(os.environ)))


@app.command("config")
def show_config(
    config: Config = None,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Print the effective settings and where each comes from; secrets are not shown."""
    loaded: Loaded = load(config, overrides or ())
    print_settings(loaded, as_json=as_json, console=Console())


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


async def _serve(settings: Settings, spec: ModelSpec, failpoints: Failpoints) -> None:
    # Here, so that `config` and `--help` do not pay for loading the clients and codecs.
    from worker.app import App  # noqa: PLC0415

    await App(settings, spec, failpoints).run()


def _load_model(settings: Settings) -> ModelSpec:
    cache = settings.model_cache or cache_directory() / "models"
    return load_model_spec(find_model(settings.model, cache))


def _run_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(coroutine)
        return
    import uvloop  # noqa: PLC0415 - not on every platform

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)


def _die(error: Exception, status: int) -> NoReturn:
    typer.echo(f"classify-worker: {error}", err=True)
    sys.exit(status)
