"""The engine as `predict` and `create_pipeline` use it: behind a portal, with local settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from ipaddress import IPv4Network, IPv6Network

from worker.device import Device
from worker.engine.engine import Engine
from worker.engine.portal import Portal
from worker.errors import SettingsError
from worker.failpoints import Failpoints
from worker.hpip import CONVERTER, installed_backends, remedy
from worker.inference.choice import check_choice
from worker.inference.devices import find_device
from worker.inference.placement import Placement, available_cores, place
from worker.kernels import Kernels
from worker.metrics import Metrics
from worker.model import ModelSpec
from worker.predict.pipeline_config import PipelineConfig
from worker.settings import (
    BackendChoice,
    BatchingSettings,
    FetchSettings,
    PredictorSettings,
    Settings,
)

__all__ = [
    "CAPACITY",
    "LOCAL_FETCH",
    "MOST_WEIGHTS",
    "choose_backend",
    "choose_placements",
    "local_fetch",
    "may_measure",
    "spare_memory",
    "start_engine",
    "wanted_backend",
]

CAPACITY = 1024
"""Images in the memory shared with a predictor process, which takes room only as it is used; a
larger batch is computed in parts."""

MOST_WEIGHTS = 1 << 30
"""Bytes of all copies of a network's weights together; a caller's program needs memory too."""

BATCH_TIMEOUT = 600.0
"""Seconds for one batch. Its size is the caller's choice: a thousand images take minutes."""


def local_fetch(settings: FetchSettings) -> FetchSettings:
    """Allow any address, with the worker's limits on time, bytes and redirects.

    The user of this process chose the URL, so no address is forbidden: servers on this machine or
    its network are ordinary ones, and the proxy is the user's own.

    Returns:
        A copy of the settings with every network allowed and the environment's proxy used.
    """
    anywhere = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    return settings.model_copy(update={"allow_networks": anywhere, "trust_env": True})


LOCAL_FETCH = local_fetch(FetchSettings())


def start_engine(
    spec: ModelSpec,
    placements: list[Placement],
    backend: BackendChoice,
    settings: Settings,
    on_selecting: Callable[[str], None] = lambda _: None,
    *,
    may_measure: bool = True,
) -> Portal[Engine]:
    """Start an engine in a thread of its own, and wait until it is ready.

    Args:
        backend: what computes, as `predictor.backend`.
        settings: only those on fetching URLs, decoding images, keeping results and precision are
            used.
        on_selecting: called in the engine's thread with each step of the selection of the backend.
        may_measure: whether `auto` measures backends where that was not done before.

    Returns:
        The portal to the engine; closing it stops the engine.

    Raises:
        ModelError: the model cannot be loaded.
        UnfitSystemError: the system lacks a library.
        PredictorError: a predictor process died or hung while it started.
    """
    local = Settings(
        fetch=local_fetch(settings.fetch),
        decode=settings.decode,
        # As a worker's by default, and so is the layout: what was selected for one counts for both.
        batching=BatchingSettings(),
        predictor=PredictorSettings(
            backend=backend,
            precision=settings.predictor.precision,
            tensorrt=settings.predictor.tensorrt,
            timeout=BATCH_TIMEOUT,
        ),
        result_cache=settings.result_cache,
    )

    async def start(stack: AsyncExitStack) -> Engine:
        failpoints = Failpoints.from_environ(os.environ)
        engine = Engine(spec, placements, local, failpoints, Metrics(), capacity=CAPACITY)
        engine.pool.on_selecting = lambda step, _: on_selecting(step)
        engine.pool.may_measure = may_measure
        await engine.start(stack)
        return engine

    return Portal(start, "engine")


def wanted_backend(config: PipelineConfig, predictor: PredictorSettings) -> BackendChoice:
    """Tell what is to compute: by `use_hpip`, else what the settings name, else `auto`.

    Without a word of the user on it, `auto` must not measure: that takes seconds.

    Args:
        predictor: used where `use_hpip` is not set.

    Returns:
        The backend's name, or `auto`.
    """
    if config.use_hpip is None:
        return predictor.backend
    return "auto" if config.use_hpip else "paddle"


def choose_backend(
    config: PipelineConfig, predictor: PredictorSettings, device: Device
) -> BackendChoice:
    """Choose what computes, if it can on the device.

    Args:
        predictor: as for `wanted_backend`.

    Returns:
        The backend's name, or `auto`.

    Raises:
        SettingsError: `use_hpip` on the CPU, and nothing is installed to choose from; or the
            backend does not go with the device.
        UnfitSystemError: the backend is not installed, or the processor lacks the precision.
        ModelError: nothing that is installed computes on the device.
    """
    choice = wanted_backend(config, predictor)
    check_choice(choice, device, predictor.kernels)
    # The user asked for it: unlike the default `auto`, it must not fall back silently.
    if config.use_hpip and device.kind == "cpu" and not installed_backends():
        raise SettingsError(
            f"use_hpip needs onnxruntime or openvino, and {CONVERTER}, not installed here; "
            f"{remedy()}; or leave use_hpip out"
        )
    return choice


def may_measure(config: PipelineConfig, predictor: PredictorSettings) -> bool:
    """Decide whether backends may be measured, which takes seconds.

    Returns:
        Whether the user asked for the fastest one, by `use_hpip` or by the settings.
    """
    return bool(config.use_hpip) or "backend" in predictor.model_fields_set


def choose_placements(
    device: Device | None, backend: BackendChoice, kernels: Kernels
) -> list[Placement]:
    """Choose where to compute.

    Args:
        device: None is the first GPU that Paddle can use, else the CPU.
        backend: as `wanted_backend` tells.
        kernels: how it is to compute.

    Returns:
        On CPU what a worker has by default, else a placement for each device with all cores.

    Raises:
        ModelError: the device cannot be used by what is to compute.
        UnfitSystemError: Paddle cannot be loaded to find out.
    """
    cores = available_cores()
    found = find_device(device, backend, kernels)
    return place(found, 0, 0 if found.kind == "cpu" else cores, cores)


def spare_memory(placements: list[Placement], weights: int) -> list[Placement]:
    """Put all cores into one slot where a copy of the weights for each would take too much.

    Args:
        placements: as `choose_placements` returns them.
        weights: bytes.

    Returns:
        Where each slot runs.
    """
    device = placements[0].device
    # The first slot has a copy more.
    if device.kind != "cpu" or weights * (len(placements) + 1) <= MOST_WEIGHTS:
        return placements
    return [Placement(device, sum(placement.threads for placement in placements))]
