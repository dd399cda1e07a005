"""Use and memory of the worker's NVIDIA GPUs, as their driver tells it (NVML).

It needs the package nvidia-ml-py (the extra `gpu`), which is pure Python. Where it or the driver is
missing, these metrics are too, and nothing else.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from worker.device import Device
    from worker.metrics import Metrics
    from worker.metrics.scraped import Samples

__all__ = ["GpuWatch"]

INTERVAL = 5.0
"""Seconds between two looks."""

TOO_OLD = 4 * INTERVAL
"""Seconds after which a reading is shown no longer: a sick driver does not answer."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one GPU does; None where it does not tell, as a part of one (MIG) its use."""

    utilization: float | None
    memory_used: int | None
    memory_total: int | None


class GpuWatch:
    """Looks at the GPUs of a device in a thread of its own, since a driver may take its time.

    Args:
        device: the worker's; nothing is done unless it is a GPU.
        load: loads NVML's bindings.
        environ: says which GPUs CUDA shows, and so which one `gpu:0` is.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        metrics: Metrics,
        device: Device,
        *,
        load: Callable[[], Any] = lambda: importlib.import_module("pynvml"),
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gpus = [one.index for one in device.split()] if device.kind == "gpu" else []
        self._visible = environ.get("CUDA_VISIBLE_DEVICES")
        self._load = load
        self._clock = clock
        self._readings: tuple[float, Mapping[int, _Reading]] = (clock(), {})
        self._ended = threading.Event()
        metrics.gpu_utilization.read = lambda: self._samples(lambda one: one.utilization)
        metrics.gpu_memory_used.read = lambda: self._samples(lambda one: one.memory_used)
        metrics.gpu_memory_total.read = lambda: self._samples(lambda one: one.memory_total)

    def start(self) -> None:
        """Look from now on."""
        if self._gpus:
            # A daemon: the process's end does not wait for a driver.
            threading.Thread(target=self._watch, name="gpu-watch", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def look(self, nvml: Any, handles: Mapping[int, object]) -> None:  # noqa: ANN401 - untyped
        """Read all GPUs once.

        Args:
            nvml: the bindings, initialised.
            handles: NVML's handles by GPU.
        """
        readings = {gpu: _read(nvml, handle) for gpu, handle in handles.items()}
        self._readings = (self._clock(), readings)

    def find(self, nvml: Any) -> dict[int, object]:  # noqa: ANN401 - untyped
        """Find the GPUs that the worker's device names.

        Args:
            nvml: the bindings, initialised.

        Returns:
            NVML's handles by GPU.

        Raises:
            nvml.NVMLError: there is no such GPU.
        """
        return {gpu: _handle(nvml, self._name_of(gpu)) for gpu in self._gpus}

    def _watch(self) -> None:
        try:
            nvml = self._load()
        except ImportError:
            log.info("gpu_metrics_missing", reason="nvidia-ml-py is not installed")
            return
        try:
            nvml.nvmlInit()
            handles = self.find(nvml)
        except (nvml.NVMLError, LookupError) as error:
            log.info("gpu_metrics_missing", reason=str(error))
            return
        while True:
            self.look(nvml, handles)
            if self._ended.wait(INTERVAL):
                return

    def _name_of(self, gpu: int) -> str:
        """What NVML knows a GPU by: CUDA counts those that it shows alone."""
        if not self._visible:
            return str(gpu)
        return self._visible.split(",")[gpu].strip()

    def _samples(self, of: Callable[[_Reading], float | None]) -> Samples:
        at, readings = self._readings
        if self._clock() - at > TOO_OLD:
            return
        for gpu, reading in readings.items():
            if (value := of(reading)) is not None:
                yield (str(gpu),), value


def _handle(nvml: Any, name: str) -> object:  # noqa: ANN401 - untyped
    if name.isdecimal():
        return nvml.nvmlDeviceGetHandleByIndex(int(name))
    return nvml.nvmlDeviceGetHandleByUUID(name)


def _read(nvml: Any, handle: object) -> _Reading:  # noqa: ANN401 - untyped
    def ask(question: Callable[[object], Any]) -> Any:  # noqa: ANN401 - untyped
        try:
            return question(handle)
        except nvml.NVMLError:
            return None

    rates, memory = ask(nvml.nvmlDeviceGetUtilizationRates), ask(nvml.nvmlDeviceGetMemoryInfo)
    return _Reading(
        None if rates is None else rates.gpu / 100,
        None if memory is None else memory.used,
        None if memory is None else memory.total,
    )
