"""The engine as `predict` and `create_pipeline` use it: behind a portal, with local settings."""

from __future__ import annotations

from contextlib import AsyncExitStack
from ipaddress import IPv4Network, IPv6Network

from worker.device import Device
from worker.engine.engine import Engine
from worker.engine.portal import Portal
from worker.failpoints import Failpoints
from worker.inference.default_device import find_default_device
from worker.inference.placement import Placement, available_cores, place
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.predict.pipeline_config import PipelineConfig
from worker.settings import BatchingSettings, FetchSettings, PredictorSettings, Settings

__all__ = ["CAPACITY", "LOCAL_FETCH", "choose_placements", "local_fetch", "start_engine"]

CAPACITY = 1024
"""Images in the memory shared with a predictor process, which takes room only as it is used; a
larger batch is computed in parts."""

BATCH_TIMEOUT = 600.0
"""Seconds for one batch. Its size is the caller's choice: a thousand images take minutes."""


def local_fetch(settings: FetchSettings) -> FetchSettings:
    """The worker's limits on time, bytes and redirects, for any address.

    The user of this process chose the URL, so that no address is forbidden: image servers on the
    own machine or network are ordinary ones, and the proxy is the user's own.
    """
    anywhere = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    return settings.model_copy(update={"allow_networks": anywhere, "trust_env": True})


LOCAL_FETCH = local_fetch(FetchSettings())


def start_engine(
    spec: ModelSpec,
    placements: list[Placement],
    config: PipelineConfig,
    settings: Settings | None = None,
) -> Portal[Engine]:
    """Start an engine in a thread of its own, and wait until it is ready.

    Args:
        settings: of these, how URLs are fetched, how images are decoded and, if it was set, the
            backend are followed; all defaults when None.

    Raises:
        ModelError: the model cannot be loaded.
        UnfitSystemError: the system lacks a library.
        PredictorError: a predictor process died or hung while it started.
    """
    settings = settings or Settings()
    backend = "auto" if config.use_hpip else "paddle"
    if not config.use_hpip and "backend" in settings.predictor.model_fields_set:
        backend = settings.predictor.backend
    local = Settings(
        fetch=local_fetch(settings.fetch),
        decode=settings.decode,
        # For this the fastest backend is chosen, where that is asked for.
        batching=BatchingSettings(max_batch=min(config.batch_size, CAPACITY)),
        predictor=PredictorSettings(backend=backend, timeout=BATCH_TIMEOUT),
    )

    async def start(stack: AsyncExitStack) -> Engine:
        engine = Engine(spec, placements, local, Failpoints(), Metrics(), capacity=CAPACITY)
        await engine.start(stack)
        return engine

    return Portal(start, "engine")


def choose_placements(device: Device | None) -> list[Placement]:
    """Choose where to compute: on the devices that are named, each with all cores.

    Args:
        device: None is the first GPU, else the CPU.

    Raises:
        UnfitSystemError: no device is named, and Paddle cannot be loaded to find one.
    """
    cores = available_cores()
    return place(device or find_default_device(), 0, cores, cores)
