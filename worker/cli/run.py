"""`classify-worker run` and `serve`: the worker itself, with Kafka or with HTTP alone."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import typer

from worker.cli.options import EXIT_FAILED, Config, Overrides
from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from worker.cli.narration import Narration
    from worker.runtime.signals import StopSignals
    from worker.settings import Settings

__all__ = ["run", "serve"]


def run(ctx: typer.Context, config: Config = None, overrides: Overrides = None) -> None:
    """Work: classify jobs from Kafka until SIGTERM or SIGINT, then finish what was begun.

    Example: classify-worker run --config configs/worker.yaml --set model=models/PP-LCNet_x1_0
    """
    _work(config, overrides, ctx.obj, kafka=True)


def serve(ctx: typer.Context, config: Config = None, overrides: Overrides = None) -> None:
    """Answer POST /image-classification over HTTP, without Kafka, until SIGTERM or SIGINT.

    Example: classify-worker serve --set model=models/PP-LCNet_x1_0 --set http.port=8080
    """
    _work(config, overrides, ctx.obj, kafka=False)


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
        _run_loop(_live(settings, signals, narration, kafka=kafka))
        if narration is not None:
            narration.stopped()
    except (WorkerError, typer.Exit):
        raise
    except Exception as error:
        # A defect: its trace belongs into the log, in the log's form.
        structlog.get_logger(__name__).exception("failed")
        raise typer.Exit(EXIT_FAILED) from error
    finally:
        flush()


async def _live(
    settings: Settings, signals: StopSignals | None, narration: Narration | None, *, kafka: bool
) -> None:
    # Here, so that `--help` and other commands do not pay for loading clients and codecs.
    from worker.app import App  # noqa: PLC0415
    from worker.failpoints import Failpoints  # noqa: PLC0415

    failpoints = Failpoints.from_environ(os.environ)
    await App(settings, failpoints, kafka=kafka, signals=signals, notices=narration).run()


def _run_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    import asyncio  # noqa: PLC0415

    if sys.platform == "win32":
        asyncio.run(coroutine)
        return
    import uvloop  # noqa: PLC0415 - not on every platform

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)
