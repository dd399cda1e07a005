"""Changes the model while the worker works: the new one is there before the old one goes.

The new model's processes are started beside those that serve, warmed, and asked for golden images
if there are any. Then jobs whose images come go to the new one, those that have begun end with the
old one, and its processes are ended. Whatever goes wrong before leaves the old one as it was.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from worker.app.model_check import CheckFailedError, check_model
from worker.app.model_loading import in_daemon_thread, resolve_spec
from worker.app.model_memory import MemoryShortageError, check_memory
from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.model_changes import (
    Cause,
    ChangeOutcome,
    CheckFigures,
    ModelChange,
    ModelState,
)
from worker.errors import SettingsError, WorkerError
from worker.model.files import ModelFiles

if TYPE_CHECKING:
    from worker.contract.jobs import ModelIdentity
    from worker.engine.engine import Engine
    from worker.engine.model_slots import ModelSlots
    from worker.health import Health
    from worker.metrics import Metrics
    from worker.settings import Settings

__all__ = ["ModelChanges"]

DRAIN = 60.0
"""Seconds for the jobs that the old model has; what is left then is done by the new one. They take
longer only if something hangs, or the old model's files are gone and its predictor cannot start."""

log = structlog.get_logger(__name__)


class ModelChanges:
    """One change at a time; for one event loop.

    Args:
        settings: as the worker was started with.
        reread: reads the settings again. Blocks; called in a thread.
        slots: predictor processes that a model gets.
        on_serving: called with the model that has taken the other's place.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        health: Health,
        metrics: Metrics,
        reread: Callable[[], Settings],
        *,
        slots: int,
        on_serving: Callable[[ModelIdentity], object] = lambda _: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._health = health
        self._metrics = metrics
        self._reread = reread
        self._slots = slots
        self._on_serving = on_serving
        self._clock = clock
        # Invariant: the change that is under way, and what it changes to as far as is known.
        self._current: asyncio.Task[ModelChange] | None = None
        self._wanted = ""
        self._last: ModelChange | None = None
        self._stopped = False

    @property
    def state(self) -> ModelState:
        """Which model serves, and what is known of changes."""
        wanted = None if self._current is None else self._wanted
        return ModelState(self._engine.identity, wanted, self._health.changing, self._last)

    @property
    def settings(self) -> Settings:
        """With the model as it was configured when it was read last."""
        return self._settings

    def begin(self, model: str) -> asyncio.Task[ModelChange] | None:
        """Begin to change to a model; who waits for the task may leave without ending the change.

        Args:
            model: its name, or its directory.

        Returns:
            The change; None if another one is under way, or the worker is stopping.
        """
        if self._current is not None or self._stopped:
            return None
        settings = self._settings.model_copy(update={"model": model, "model_dir": None})

        async def given() -> Settings:
            return settings

        return self._start(model, "request", given)

    async def reload(self, cause: Cause) -> ModelChange:
        """Change to the model that the settings name, after any change that is under way.

        The settings are read again; of what they say now, only the model counts.

        Returns:
            How it ended.
        """
        # A change that was cancelled before it ran stays the current one.
        while self._current is not None and not self._stopped:
            await asyncio.wait((self._current,))
        if self._stopped:
            raise asyncio.CancelledError

        async def configured() -> Settings:
            read = await in_daemon_thread(self._reread)
            names = ("model", "model_dir", "model_cache")
            update = {name: getattr(read, name) for name in names}
            self._settings = self._settings.model_copy(update=update)
            return self._settings

        return await asyncio.shield(self._start(self._settings.model_source, cause, configured))

    def cancel(self) -> None:
        """Begin to end a change that is under way, and begin no other: the worker stops."""
        self._stopped = True
        if self._current is not None:
            self._current.cancel()

    async def stop(self) -> None:
        """End a change that is under way; the model that serves goes on to do so."""
        self.cancel()
        if self._current is not None:
            await asyncio.gather(self._current, return_exceptions=True)

    def _start(
        self, model: str, cause: Cause, wanted: Callable[[], Awaitable[Settings]]
    ) -> asyncio.Task[ModelChange]:
        self._wanted = model
        self._current = asyncio.create_task(self._change(cause, wanted), name="model-change")
        return self._current

    async def _change(self, cause: Cause, wanted: Callable[[], Awaitable[Settings]]) -> ModelChange:
        began, at = self._clock.monotonic(), self._clock.wall()
        former = self._engine.identity
        try:
            outcome, message, check = await self._outcome(wanted)
        finally:
            self._current = None
            self._health.changing = ""
        seconds = self._clock.monotonic() - began
        serving = self._engine.identity
        change = self._last = ModelChange(
            self._wanted, cause, outcome, message, at, seconds, former, serving, check
        )
        self._metrics.model_changes.labels(outcome.label).inc()
        write = log.info if outcome.serves else log.error
        write(
            f"model_change_{outcome.label}",
            wanted=change.wanted,
            cause=cause,
            message=message,
            seconds=round(seconds, 1),
            model=serving.name,
            digest=serving.digest,
        )
        return change

    async def _outcome(
        self, wanted: Callable[[], Awaitable[Settings]]
    ) -> tuple[ChangeOutcome, str, CheckFigures | None]:
        """Change the model; what goes wrong is an outcome too."""
        try:
            settings = await wanted()
            self._wanted = settings.model_source
            return await self._try(settings)
        except CheckFailedError as error:
            return ChangeOutcome.CHECK_FAILED, str(error), error.figures
        except OSError as error:
            # No room for another process, or a disk that fails.
            where = error.filename or self._wanted
            return ChangeOutcome.FAILED, f"{where}: {error.strerror or error}", None
        except (WorkerError, MemoryShortageError) as error:
            return _of(error), str(error), None
        except Exception as error:
            # A defect must neither end the worker nor go unseen.
            log.exception("model_change_raised")
            message = f"internal error: {type(error).__name__}; the worker's log has more"
            return ChangeOutcome.FAILED, message, None

    async def _try(self, settings: Settings) -> tuple[ChangeOutcome, str, CheckFigures | None]:
        self._go_to("finding the model")
        spec = await resolve_spec(settings, self._note_pulling)
        serving = self._engine.spec
        if (spec.digest, spec.directory) == (serving.digest, serving.directory):
            return ChangeOutcome.UNCHANGED, f"{spec.name} serves already", None
        check_memory(self._engine, spec, self._slots)
        files = ModelFiles(spec)
        slots = self._engine.make_slots(spec)
        try:
            check = await self._prepare(slots, files)
        except BaseException:
            await self._engine.end(slots)
            raise
        former = self._engine.serve(slots)
        self._on_serving(slots.identity)
        self._go_to("ending the former model")
        await self._engine.retire(former, DRAIN)
        del former
        # What it held, now: the next collection that would find it may be hours away.
        gc.collect()
        # A trained model may be called like the one before it.
        where = f" from {spec.directory}" if spec.name == serving.name else ""
        return ChangeOutcome.CHANGED, f"{spec.name} serves{where}", check

    async def _prepare(self, slots: ModelSlots, files: ModelFiles) -> CheckFigures | None:
        """Have a model ready to serve."""
        name, data = slots.spec.name, self._settings.model_check
        self._go_to(f"loading {name}")
        slots.pool.on_selecting = self._note_selecting
        slots.pool.alone = False
        await slots.start()
        check = None
        if data is not None:
            self._go_to(f"checking {name}")
            check = await check_model(slots, data, self._settings.model_check_top1)
        # What its processes have loaded is what was read, or somebody has written meanwhile.
        await in_daemon_thread(lambda: files.check(thoroughly=True))
        await in_daemon_thread(self._engine.read_baseline)
        return check

    def _go_to(self, step: str) -> None:
        self._health.changing = step
        log.info("model_change", wanted=self._wanted, step=step)

    def _note_pulling(self, pulling: bool) -> None:
        if pulling:
            self._go_to(f"pulling {self._wanted}")

    def _note_selecting(self, step: str, _: Sequence[str]) -> None:
        if step:
            self._go_to(step)


def _of(error: Exception) -> ChangeOutcome:
    match error:
        case MemoryShortageError():
            return ChangeOutcome.NO_MEMORY
        case SettingsError():
            return ChangeOutcome.BAD_SETTINGS
        case _:
            return ChangeOutcome.BAD_MODEL
