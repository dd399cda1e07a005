"""`classify-worker run` and `serve`: the worker itself, with Kafka or with HTTP alone."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any

import structlog

from worker.cache import models_directory
from worker.cli.options import Config, Overrides
from worker.configuration import load
from worker.failpoints import Failpoints
from worker.logs import configure
from worker.model import ModelSpec, load_model_spec
from worker.settings import Settings
from worker.zoo.catalogue import ZooModel
from worker.zoo.download import Progress
from worker.zoo.obtain import obtain

__all__ = ["run", "serve"]

log = structlog.get_logger(__name__)


def run(config: Config = None, overrides: Overrides = None) -> None:
    """Work: classify jobs from Kafka until SIGTERM or SIGINT, then finish what was begun.

    Example: classify-worker run --config configs/worker.yaml --set model=models/PP-LCNet_x1_0
    """
    _work(load(config, overrides or ()).settings, kafka=True)


def serve(config: Config = None, overrides: Overrides = None) -> None:
    """Answer POST /image-classification over HTTP, without Kafka, until SIGTERM or SIGINT.

    Example: classify-worker serve --set model=models/PP-LCNet_x1_0 --set http.port=8080
    """
    _work(load(config, overrides or ()).settings, kafka=False)


def _work(settings: Settings, *, kafka: bool) -> None:
    configure(settings.log)
    failpoints = Failpoints.from_environ(os.environ)
    cache = settings.model_cache or models_directory()
    spec = load_model_spec(obtain(settings.model, cache, settings.zoo, _announce))
    _run_loop(_live(settings, spec, failpoints, kafka=kafka))


def _announce(model: ZooModel) -> Progress:
    """Logs how a model comes: each tenth of it."""
    log.info("pulling_model", model=model.name)
    logged = 0

    def progress(have: int, total: int | None) -> None:
        nonlocal logged
        tenths = 10 * have // total if total else 0
        if tenths > logged:
            logged = tenths
            log.info("pulling_model", model=model.name, bytes=have, percent=10 * tenths)

    return progress


async def _live(
    settings: Settings, spec: ModelSpec, failpoints: Failpoints, *, kafka: bool
) -> None:
    # Here, so that `--help` and other commands do not pay for loading clients and codecs.
    from worker.app import App  # noqa: PLC0415

    await App(settings, spec, failpoints, kafka=kafka).run()


def _run_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(coroutine)
        return
    import uvloop  # noqa: PLC0415 - not on every platform

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)
