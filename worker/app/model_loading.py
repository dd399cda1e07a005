"""Finds or pulls the model to serve. Meanwhile probes are answered and signals handled."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import structlog

from worker.cache import models_directory
from worker.model import ModelSpec, load_model_spec
from worker.settings import Settings
from worker.zoo.catalogue import ZooModel
from worker.zoo.download import Progress
from worker.zoo.resolve import resolve_model

__all__ = ["in_daemon_thread", "resolve_spec"]

T = TypeVar("T")

log = structlog.get_logger(__name__)


async def resolve_spec(settings: Settings, note_pulling: Callable[[bool], object]) -> ModelSpec:
    """Read the model that the settings name; pull it first if it is published and not here.

    Cancelling leaves a pull behind, which ends with the process; the next one goes on from there.

    Args:
        note_pulling: is told when a pull begins, and in the end that there is none.

    Returns:
        The model, whose files are on this machine. Links on the way to its directory are followed
        once and for all: where they lead later is another model.

    Raises:
        ModelError: there is no such model, it cannot be pulled, or it is damaged.
    """
    loop = asyncio.get_running_loop()
    cache = settings.model_cache or models_directory()

    def begin(model: ZooModel) -> None:
        note_pulling(True)
        log.info("pulling_model", model=model.name)

    def announce(model: ZooModel) -> Progress:
        # Logged in the event loop: this thread can be killed at any time, and must not hold the
        # log's stream then.
        loop.call_soon_threadsafe(begin, model)
        log_tenths = _log_tenths(model)

        def progress(have: int, total: int | None) -> None:
            loop.call_soon_threadsafe(log_tenths, have, total)

        return progress

    def find() -> tuple[Path, ModelSpec]:
        found = settings.model_dir or resolve_model(settings.model, cache, settings.zoo, announce)
        given = Path(os.path.realpath(found))
        return given, load_model_spec(given)

    try:
        given, spec = await in_daemon_thread(find)
    finally:
        note_pulling(False)
    if spec.directory != given:
        # Of a training's output.
        log.info("model_found", given=str(given), directory=str(spec.directory), model=spec.name)
    return spec


def _log_tenths(model: ZooModel) -> Progress:
    """Logs each tenth of a download."""
    logged = 0

    def progress(have: int, total: int | None) -> None:
        nonlocal logged
        tenths = 10 * have // total if total else 0
        if tenths > logged:
            logged = tenths
            log.info("pulling_model", model=model.name, bytes=have, percent=10 * tenths)

    return progress


async def in_daemon_thread(call: Callable[[], T]) -> T:
    """Like `asyncio.to_thread`, but neither cancelling nor the end of the process waits for it."""
    outcome: Future[T] = Future()
    # From here on cancelling cannot take it back, and the thread may always set its outcome.
    outcome.set_running_or_notify_cancel()

    def work() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            outcome.set_exception(error)

    threading.Thread(target=work, name="model", daemon=True).start()
    return await asyncio.wrap_future(outcome)
