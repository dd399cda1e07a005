"""Brings the shadow model up beside the one that serves, and keeps its failures to itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast, get_args

from worker.app.model_loading import resolve_spec
from worker.app.model_memory import MemoryShortageError, check_memory
from worker.clock import SYSTEM_CLOCK, Clock
from worker.engine.model_slots import ModelSlots
from worker.engine.shadow import Shadow
from worker.errors import ModelError, WorkerError
from worker.hpip import OnnxBackend
from worker.imaging.nursery import Nursery
from worker.logs import get_logger
from worker.metrics import Metrics
from worker.retry import Retry

if TYPE_CHECKING:
    from worker.engine.engine import Engine
    from worker.failpoints import Failpoints
    from worker.inference.placement import Placement
    from worker.inference.protocol import BackendName
    from worker.model import ModelSpec
    from worker.settings import Settings

__all__ = ["cast_shadow"]

ATTEMPTS = Retry(first=60.0, longest=3600.0)
"""When a model that could not be started is tried again."""

PATIENCE = 10
"""How many times longer than others its processes may take: they have what is left of the cores."""

MOST_PATIENCE = 3600.0

log = get_logger(__name__)


async def cast_shadow(
    engine: Engine,
    settings: Settings,
    placements: Sequence[Placement],
    failpoints: Failpoints,
    metrics: Metrics,
    *,
    attempts: Retry = ATTEMPTS,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Start `shadow.model` and have it compute its share, until this is cancelled.

    Whatever fails is logged and tried again later; the worker goes on.

    Args:
        engine: has started.
        placements: where its predictors may run; as many are used as its share needs.
    """
    wanted = settings.shadow.model or ""
    metrics.shadow_up.read = lambda: [((wanted, "", ""), 0.0)]
    pauses = attempts.pauses(clock)
    while True:
        why = "it has ended"
        try:
            await _run(engine, settings, placements, failpoints, metrics)
        except (WorkerError, MemoryShortageError, OSError) as error:
            why = str(error) or type(error).__name__
        except Exception as error:
            log.exception("shadow_raised")
            why = type(error).__name__
        pause = next(pauses)
        log.error("shadow_failed", model=wanted, error=why, retry_in_seconds=pause)
        await clock.sleep(pause)


async def _run(
    engine: Engine,
    settings: Settings,
    placements: Sequence[Placement],
    failpoints: Failpoints,
    metrics: Metrics,
) -> None:
    named = {"model": settings.shadow.model, "model_dir": None}
    spec = await resolve_spec(settings.model_copy(update=named), lambda _: None)
    _warn_of_other_classes(engine.spec, spec)
    # The first model has as many for all of the work.
    count = max(1, round(settings.shadow.share * len(placements)))
    check_memory(engine, spec, count, otherwise="or lower shadow.share")
    slots = await _start(spec, placements[:count], settings, failpoints, _library(engine))
    shadow = Shadow(slots, count, settings.shadow.share, engine.idle_cores, metrics)
    try:
        shadow.show()
        engine.shadow = shadow
        log.info("shadow_up", model=spec.name, digest=spec.digest, backend=slots.pool.backend)
        await shadow.run()
    finally:
        engine.shadow = None
        await shadow.stop()


def _warn_of_other_classes(first: ModelSpec, second: ModelSpec) -> None:
    """Log two models that can never agree: classes are compared by name.

    Of a model without labels the number of classes is not known; they are named by their numbers.
    """
    if first.labels and second.labels and not set(first.labels) & set(second.labels):
        log.warning(
            "shadow_classes_differ",
            model=first.name,
            classes=len(first.labels),
            shadow=second.name,
            shadow_classes=len(second.labels),
            remedy="no image can agree: name a model of the same classes in shadow.model",
        )


async def _start(
    spec: ModelSpec,
    placements: Sequence[Placement],
    settings: Settings,
    failpoints: Failpoints,
    backend: BackendName,
) -> ModelSlots:
    """Start its predictors, with the first model's library where that can compute it.

    Raises:
        ModelError: they cannot load it.
        PredictorError: one died or hung.
        OSError: the system has no room for them.
    """
    for library in dict.fromkeys((backend, "paddle")):
        slots = ModelSlots(
            spec,
            placements,
            _patient(settings, library),
            failpoints,
            # Its own: what it computes is in none of the worker's figures.
            Metrics(),
            # One at a time: a job that comes meanwhile has the cores back at once.
            capacity=1,
            nursery=Nursery(idle=placements[0].idle),
        )
        try:
            await slots.pool.start()
        except BaseException as error:
            await slots.stop()
            if not isinstance(error, ModelError) or library == "paddle":
                raise
            log.info("shadow_without_library", backend=library, reason=str(error))
        else:
            return slots
    raise AssertionError("Paddle is the last one")


def _patient(settings: Settings, library: str) -> Settings:
    """The worker's settings, for processes that have to wait for a core."""
    predictor, decode = settings.predictor, settings.decode
    return settings.model_copy(
        update={
            "predictor": predictor.model_copy(
                update={
                    "backend": library,
                    "timeout": _longer(predictor.timeout),
                    "start_timeout": _longer(predictor.start_timeout),
                }
            ),
            "decode": decode.model_copy(
                update={"processes": 1, "timeout": _longer(decode.timeout)}
            ),
        }
    )


def _longer(seconds: float) -> float:
    return max(seconds, min(PATIENCE * seconds, MOST_PATIENCE))


def _library(engine: Engine) -> BackendName:
    """What computes the first model, so that the two can be compared in time too."""
    for name in get_args(OnnxBackend):
        if engine.identity.backend == name:
            return cast("OnnxBackend", name)
    return "paddle"
