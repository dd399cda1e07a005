"""GPU metrics, with a driver that answers as the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from worker.device import Device
from worker.metrics import Metrics
from worker.metrics.gpu import TOO_OLD, GpuWatch

BOUND = 10.0


class NVMLError(Exception):
    """What the bindings raise."""


class Driver:
    """Stands in for `pynvml`: GPUs by number, and one that is a part of another (MIG)."""

    NVMLError = NVMLError

    def __init__(self) -> None:
        self.looked = threading.Event()
        self.uses = {"0": 25, "1": 100, "GPU-abc": 7, "MIG-def": None}

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's names
        pass

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        if str(index) not in self.uses:
            raise NVMLError("Invalid Argument")
        return str(index)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        return uuid

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:  # noqa: N802
        if (use := self.uses[handle]) is None:
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=use)

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:  # noqa: N802
        self.looked.set()
        return SimpleNamespace(used=1 << 30, total=8 << 30)


class Bench:
    def __init__(self, device: str, **environ: str) -> None:
        self.now = 0.0
        self.metrics = Metrics()
        self.driver = Driver()
        self.watch = GpuWatch(
            self.metrics,
            Device.parse(device),
            load=lambda: self.driver,
            environ=environ,
            clock=lambda: self.now,
        )

    def look(self) -> None:
        self.watch.look(self.driver, self.watch.find(self.driver))

    def values(self, name: str) -> dict[str, float]:
        return {
            sample.labels["gpu"]: sample.value
            for family in self.metrics.collect()
            if family.name == f"classify_gpu_{name}"
            for sample in family.samples
        }


def test_use_and_memory_of_the_devices_gpus() -> None:
    bench = Bench("gpu:0,1")
    assert bench.values("utilization_ratio") == {}
    bench.look()
    assert bench.values("utilization_ratio") == {"0": 0.25, "1": 1.0}
    assert bench.values("memory_used_bytes") == {"0": 1 << 30, "1": 1 << 30}
    assert bench.values("memory_total_bytes") == {"0": 8 << 30, "1": 8 << 30}


@pytest.mark.parametrize(("visible", "use"), [("1,0", 1.0), ("GPU-abc", 0.07), ("", 0.25)])
def test_gpus_are_counted_as_cuda_shows_them(visible: str, use: float) -> None:
    bench = Bench("gpu:0", CUDA_VISIBLE_DEVICES=visible)
    bench.look()
    assert bench.values("utilization_ratio") == {"0": use}


def test_what_a_gpu_does_not_tell_is_left_out() -> None:
    bench = Bench("gpu", CUDA_VISIBLE_DEVICES="MIG-def")
    bench.look()
    assert bench.values("utilization_ratio") == {}
    assert bench.values("memory_used_bytes") == {"0": 1 << 30}


def test_a_reading_is_not_shown_for_ever() -> None:
    bench = Bench("gpu:0")
    bench.look()
    bench.now = TOO_OLD + 1
    assert bench.values("utilization_ratio") == {}


def test_a_thread_looks_after_a_gpu() -> None:
    bench = Bench("gpu:1")
    bench.watch.start()
    assert bench.driver.looked.wait(BOUND)
    bench.watch.stop()


@pytest.mark.parametrize(("device", "threads"), [("gpu:0", 1), ("cpu", 0), ("npu:0", 0)])
def test_only_for_gpus_there_is_a_thread(
    monkeypatch: pytest.MonkeyPatch, device: str, threads: int
) -> None:
    started = []

    class Thread:
        def __init__(self, **options: Any) -> None:
            pass

        def start(self) -> None:
            started.append(self)

    bench = Bench(device)
    monkeypatch.setattr("worker.metrics.gpu.threading.Thread", Thread)
    bench.watch.start()
    assert len(started) == threads


def _no_package() -> Any:
    raise ModuleNotFoundError("pynvml")


def _no_driver() -> Any:
    driver = Driver()

    def init() -> None:
        raise NVMLError("Driver Not Loaded")

    driver.nvmlInit = init  # type: ignore[method-assign]
    return driver


@pytest.mark.parametrize("load", [_no_package, _no_driver])
def test_without_package_or_driver_there_are_no_such_metrics(load: Callable[[], Any]) -> None:
    metrics = Metrics()
    GpuWatch(metrics, Device.parse("gpu:0"), load=load, environ={})._watch()
    assert not any(
        family.samples for family in metrics.collect() if family.name.startswith("classify_gpu")
    )


@pytest.mark.parametrize(("device", "visible"), [("gpu:5", ""), ("gpu:1", "0")])
def test_a_gpu_that_is_not_there_ends_nothing_else(device: str, visible: str) -> None:
    bench = Bench(device, CUDA_VISIBLE_DEVICES=visible)
    bench.watch._watch()
    assert bench.values("memory_used_bytes") == {}
