"""`classify-worker run` and `serve`: the worker itself, with Kafka or with HTTP alone."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.options import (
    EXIT_FAILED,
    BatchSize,
    Config,
    Device,
    Model,
    Overrides,
    TopK,
)
from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from worker.cli.narration import Narration
    from worker.runtime.signals import StopSignals
    from worker.settings import Settings

__all__ = ["run", "serve", "settings_given"]

HTTP_GROUP = "HTTP"


Host = Annotated[
    str | None,
    typer.Option(
        "--host",
        metavar="ADDRESS",
        help="Address to listen on, instead of http.host.",
        show_default=False,
        rich_help_panel=HTTP_GROUP,
    ),
]

Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        "-p",
        metavar="PORT",
        min=0,
        max=65535,
        help="Port to listen on, instead of http.port; 0 takes a free one.",
        show_default=False,
        rich_help_panel=HTTP_GROUP,
    ),
]


def run(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    ctx: typer.Context,
    model: Model = None,
    device: Device = None,
    batch_size: BatchSize = None,
    top_k: TopK = None,
    host: Host = None,
    port: Port = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Work: classify jobs from Kafka until SIGTERM or SIGINT, then finish what was begun.

    Examples:
        classify-worker run --model PP-LCNet_x1_0
        classify-worker run --config configs/worker.yaml
    """
    options = settings_given(model, device, batch_size, top_k, host, port)
    _work(config, [*(overrides or ()), *options], ctx.obj, kafka=True)


def serve(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    ctx: typer.Context,
    model: Model = None,
    device: Device = None,
    batch_size: BatchSize = None,
    top_k: TopK = None,
    host: Host = None,
    port: Port = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Answer POST /image-classification over HTTP, without Kafka, until SIGTERM or SIGINT.

    Example:
        classify-worker serve --model PP-LCNet_x1_0 --port 8080
    """
    options = settings_given(model, device, batch_size, top_k, host, port)
    _work(config, [*(overrides or ()), *options], ctx.obj, kafka=False)


def settings_given(
    model: str | None,
    device: str | None,
    batch_size: int | None,
    top_k: int | None,
    host: str | None,
    port: int | None,
) -> list[str]:
    """Turn options into settings.

    Returns:
        `key=value` for each option that was given.
    """
    given = {
        "model": model,
        # It takes the place of the model, wherever it is set.
        "model_dir": None if model is None else "null",
        "device": device,
        "batching.max_batch": batch_size,
        "predictor.top_k": top_k,
        "http.host": host,
        "http.port": port,
    }
    return [f"{key}={value}" for key, value in given.items() if value is not None]


def _work(
    config: Path | None, overrides: list[str] | None, signals: StopSignals | None, *, kafka: bool
) -> None:
    # Here, so that `--help` and other commands do not pay for loading them.
    import structlog  # noqa: PLC0415

    from worker.cli.narration import Narration, narrates, terminal_log  # noqa: PLC0415
    from worker.logs import configure, flush, log_uncaught  # noqa: PLC0415
    from worker.settings.sources import load  # noqa: PLC0415

    loaded = load(config, overrides or ())
    settings = loaded.settings.model_copy(update={"log": terminal_log(loaded)})
    configure(settings.log)
    log_uncaught()
    narration = Narration(settings, kafka=kafka) if narrates(settings.log) else None
    try:

        def reread() -> Settings:
            return load(config, overrides or ()).settings

        _run_loop(_run_app(settings, signals, reread, narration, kafka=kafka))
        if narration is not None:
            narration.stopped()
    except (WorkerError, typer.Exit):
        raise
    except Exception as error:
        # A bug: its traceback goes to the log, in the log's format.
        structlog.get_logger(__name__).exception("failed")
        raise typer.Exit(EXIT_FAILED) from error
    finally:
        flush()


async def _run_app(
    settings: Settings,
    signals: StopSignals | None,
    reread: Callable[[], Settings],
    narration: Narration | None,
    *,
    kafka: bool,
) -> None:
    # Here, so that `--help` and other commands do not pay for loading clients and codecs.
    from worker.app import App  # noqa: PLC0415
    from worker.failpoints import Failpoints  # noqa: PLC0415

    failpoints = Failpoints.from_environ(os.environ)
    app = App(settings, failpoints, kafka=kafka, signals=signals, reread=reread, notices=narration)
    await app.run()


def _run_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    import asyncio  # noqa: PLC0415

    if sys.platform == "win32":
        asyncio.run(coroutine)
        return
    import uvloop  # noqa: PLC0415 - not on every platform

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)
