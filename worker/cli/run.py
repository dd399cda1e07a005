"""`classify-worker run` and `serve`: the worker itself, with Kafka or with HTTP alone."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any

import structlog
import typer

from worker.cli.narration import Narration, narrates, terminal_log
from worker.cli.options import EXIT_FAILED, Config, Overrides
from worker.errors import WorkerError
from worker.failpoints import Failpoints
from worker.logs import configure, flush, log_uncaught
from worker.runtime.signals import StopSignals
from worker.settings import Settings
from worker.settings.sources import Loaded, load

__all__ = ["run", "serve"]

log = structlog.get_logger(__name__)


def run(ctx: typer.Context, config: Config = None, overrides: Overrides = None) -> None:
    """Work: classify jobs from Kafka until SIGTERM or SIGINT, then finish what was begun.

    Example: classify-worker run --config configs/worker.yaml --set model=models/PP-LCNet_x1_0
    """
    _work(load(config, overrides or ()), ctx.obj, kafka=True)


def serve(ctx: typer.Context, config: Config = None, overrides: Overrides = None) -> None:
    """Answer POST /image-classification over HTTP, without Kafka, until SIGTERM or SIGINT.

    Example: classify-worker serve --set model=models/PP-LCNet_x1_0 --set http.port=8080
    """
    _work(load(config, overrides or ()), ctx.obj, kafka=False)


def _work(loaded: Loaded, signals: StopSignals | None, *, kafka: bool) -> None:
    settings = loaded.settings.model_copy(update={"log": terminal_log(loaded)})
    configure(settings.log)
    log_uncaught()
    narration = Narration(settings, kafka=kafka) if narrates(settings.log) else None
    try:
        _run_loop(_live(settings, signals, narration, kafka=kafka))
        if narration is not None:
            narration.stopped()
    except (WorkerError, typer.Exit):
        raise
    except Exception as error:
        # A defect: its trace belongs into the log, in the log's form.
        log.exception("failed")
        raise typer.Exit(EXIT_FAILED) from error
    finally:
        flush()


async def _live(
    settings: Settings, signals: StopSignals | None, narration: Narration | None, *, kafka: bool
) -> None:
    # Here, so that `--help` and other commands do not pay for loading clients and codecs.
    from worker.app import App  # noqa: PLC0415

    failpoints = Failpoints.from_environ(os.environ)
    await App(settings, failpoints, kafka=kafka, signals=signals, notices=narration).run()


def _run_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(coroutine)
        return
    import uvloop  # noqa: PLC0415 - not on every platform

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)
