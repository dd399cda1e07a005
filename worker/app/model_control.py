"""Who may have a running worker change its model: a request, SIGHUP, and the directory itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from worker.app.model_changes import ModelChanges
from worker.app.model_watch import ModelWatch
from worker.cache import models_directory
from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import ModelError
from worker.model import find_model

if TYPE_CHECKING:
    from worker.contract.jobs import ModelIdentity
    from worker.engine.engine import Engine
    from worker.health import Health
    from worker.http.admin import Admin
    from worker.metrics import Metrics
    from worker.settings import Settings

__all__ = ["ModelControl"]


class ModelControl:
    """Hears that the model shall be changed, from the beginning on; for one event loop.

    What is asked for before the first model serves is done then.

    Args:
        reread: reads the settings again. Blocks; called in a thread.
        slots: predictor processes that a model gets.
        on_serving: called with the model that has taken another one's place.
    """

    def __init__(
        self,
        settings: Settings,
        reread: Callable[[], Settings],
        health: Health,
        metrics: Metrics,
        *,
        slots: int,
        on_serving: Callable[[ModelIdentity], object],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings
        self._reread = reread
        self._health = health
        self._metrics = metrics
        self._slots = slots
        self._on_serving = on_serving
        self._loop = asyncio.get_running_loop()
        self._hung_up = asyncio.Event()
        self._watch: ModelWatch | None = None
        if settings.model_watch:
            self._watch = ModelWatch(self._directory, self._follow, clock)
        self._changes: ModelChanges | None = None

    def hang_up(self) -> None:
        """Have the configured model looked for again; called in any thread, such as on SIGHUP."""
        self._loop.call_soon_threadsafe(self._hung_up.set)

    async def begin(self) -> None:
        """Look where the model will be read from; what appears there later is another one."""
        if self._watch is not None:
            await self._watch.begin()

    @asynccontextmanager
    async def open(self, engine: Engine, admin: Admin) -> AsyncIterator[None]:
        """Change the model when that is asked for, for the block."""
        self._changes = changes = ModelChanges(
            engine,
            self._settings,
            self._health,
            self._metrics,
            self._reread,
            slots=self._slots,
            on_serving=self._on_serving,
        )
        tasks = [asyncio.create_task(self._follow_hangups(changes), name="hangups")]
        if self._watch is not None:
            tasks.append(asyncio.create_task(self._watch.run(), name="model-watch"))
        admin.open(changes)
        try:
            yield
        finally:
            admin.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await changes.stop()

    def stop(self) -> None:
        """Change nothing any more: the worker stops."""
        if self._changes is not None:
            self._changes.cancel()

    async def _follow_hangups(self, changes: ModelChanges) -> None:
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            await changes.reload("signal")

    async def _follow(self) -> None:
        assert self._changes is not None, "what is watched is told once a model serves"
        await self._changes.reload("watch")

    def _directory(self) -> Path | None:
        settings = self._settings if self._changes is None else self._changes.settings
        if settings.model_dir is not None:
            return settings.model_dir
        try:
            return find_model(settings.model, settings.model_cache or models_directory())
        except (ModelError, OSError):
            # It is being pulled, or replaced; or its disk is away.
            return None
