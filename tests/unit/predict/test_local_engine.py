"""Local settings: which addresses are read, by way of which proxy, and what computes where."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from worker import create_pipeline
from worker.device import CPU, Device
from worker.errors import JobError, ModelError, Reason, SettingsError, UnfitSystemError
from worker.images.fetch import ImageFetcher
from worker.inference.placement import Placement, available_cores, place
from worker.kernels import Kernels
from worker.predict.local_engine import (
    LOCAL_FETCH,
    MOST_WEIGHTS,
    choose_backend,
    choose_placements,
    may_measure,
    spare_memory,
    wanted_backend,
)
from worker.predict.pipeline_config import PipelineConfig
from worker.settings import PredictorSettings


@pytest.fixture
def address() -> Iterator[str]:
    """A server on loopback that has nothing: `http://127.0.0.1:PORT`."""

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: the tests' output is theirs."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


async def refused(url: str) -> JobError:
    async with ImageFetcher(LOCAL_FETCH) as fetcher:
        with pytest.raises(JobError) as refusal:
            await fetcher.fetch(url)
    return refusal.value


async def test_an_address_on_the_own_machine_may_be_read(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    error = await refused(f"{address}/missing.png")
    assert error.reason is Reason.NOT_FOUND
    assert error.message == "there is no image at the URL (HTTP 404 Not Found)"


async def test_the_users_own_proxy_is_used(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LOCAL_FETCH.trust_env
    monkeypatch.setenv("http_proxy", address)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    # The proxy answers 404 to the absolute URL; without it the name would not even resolve.
    error = await refused("http://images.invalid/a.jpg")
    assert error.reason is Reason.NOT_FOUND


async def test_a_url_that_cannot_be_one_is_refused() -> None:
    error = await refused("ftp://example.com/a.jpg")
    assert error.message == "the URL's scheme is 'ftp'; only http and https are fetched"


EXTRA = ("onnxruntime", "openvino", "paddle2onnx")


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra `hpip` were not installed, wherever it is."""
    for name in EXTRA:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def with_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra `hpip` were installed."""
    for name in EXTRA:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)


def config(*, use_hpip: bool | None) -> PipelineConfig:
    return PipelineConfig(model="any", use_hpip=use_hpip)


@pytest.mark.usefixtures("with_extra")
@pytest.mark.parametrize(
    ("use_hpip", "settings", "expected", "measures"),
    [
        (None, PredictorSettings(), "auto", False),
        (None, PredictorSettings(backend="auto"), "auto", True),
        (None, PredictorSettings(backend="openvino"), "openvino", True),
        (True, PredictorSettings(), "auto", True),
        (True, PredictorSettings(backend="paddle"), "auto", True),
        (False, PredictorSettings(), "paddle", False),
        (False, PredictorSettings(backend="openvino"), "paddle", True),
    ],
)
def test_what_computes_and_whether_backends_may_be_measured_for_it(
    *, use_hpip: bool | None, settings: PredictorSettings, expected: str, measures: bool
) -> None:
    chosen = config(use_hpip=use_hpip)
    assert choose_backend(chosen, settings, CPU) == wanted_backend(chosen, settings) == expected
    assert may_measure(chosen, settings) is measures


@pytest.mark.usefixtures("without_extra")
def test_the_extra_that_use_hpip_needs_is_named() -> None:
    with pytest.raises(SettingsError, match="use_hpip needs onnxruntime or openvino, and paddle2"):
        choose_backend(config(use_hpip=True), PredictorSettings(), CPU)
    # Elsewhere than on the CPU Paddle needs no extra.
    npu = Device.parse("npu:0")
    assert choose_backend(config(use_hpip=True), PredictorSettings(), npu) == "auto"
    # The default of the worker takes what there is.
    for settings in (PredictorSettings(), PredictorSettings(backend="auto")):
        assert choose_backend(config(use_hpip=None), settings, CPU) == "auto"


@pytest.mark.usefixtures("without_extra")
def test_a_backend_that_is_set_and_missing_is_an_error() -> None:
    with pytest.raises(
        UnfitSystemError, match=r"predictor\.backend: onnxruntime needs onnxruntime"
    ):
        choose_backend(config(use_hpip=None), PredictorSettings(backend="onnxruntime"), CPU)


@pytest.mark.usefixtures("without_extra")
def test_a_backend_that_is_missing_is_refused_before_the_model_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORKER_PREDICTOR__BACKEND", "openvino")
    with pytest.raises(UnfitSystemError, match="openvino needs openvino"):
        create_pipeline(model="no-such-model", device="cpu")


@pytest.mark.parametrize("device", ["cpu", "CPU"])
def test_the_layout_is_a_workers(device: str) -> None:
    cores = available_cores()
    assert choose_placements(Device.parse(device), "auto", Kernels()) == place(CPU, 0, 0, cores)


@pytest.fixture
def cpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paddle as it is on PyPI, and ONNX Runtime's build for GPUs."""
    monkeypatch.setattr("worker.inference.choice.is_cpu_build", lambda: True)
    monkeypatch.setattr("worker.inference.choice.has_gpu_provider", lambda name: name == "cuda")


@pytest.mark.usefixtures("cpu_build", "with_extra")
@pytest.mark.parametrize("use_hpip", [None, True])
def test_a_gpu_that_onnx_runtime_alone_may_use_is_left_to_auto(use_hpip: bool | None) -> None:
    chosen, settings, gpu = config(use_hpip=use_hpip), PredictorSettings(), Device.parse("gpu:0,1")
    wanted = wanted_backend(chosen, settings)
    placements = choose_placements(gpu, wanted, settings.kernels)
    assert [placement.device for placement in placements] == list(gpu.split())
    assert choose_backend(chosen, settings, gpu) == "auto"


@pytest.mark.usefixtures("cpu_build", "without_extra")
def test_a_gpu_that_nothing_may_use_is_refused_before_the_model_is_looked_for() -> None:
    with pytest.raises(ModelError, match="install paddlepaddle-gpu, or onnxruntime-gpu"):
        create_pipeline(model="no-such-model", device="gpu:0")


@pytest.mark.parametrize(
    ("device", "slots", "weights", "expected"),
    [
        ("cpu", [2, 2, 2], MOST_WEIGHTS // 4, [2, 2, 2]),
        ("cpu", [2, 2, 2], MOST_WEIGHTS // 4 + 1, [6]),
        ("cpu", [4], MOST_WEIGHTS, [4]),
        ("gpu:0", [4, 4], MOST_WEIGHTS, [4, 4]),
    ],
)
def test_large_weights_are_held_once(
    device: str, slots: list[int], weights: int, expected: list[int]
) -> None:
    placements = [Placement(Device.parse(device), threads) for threads in slots]
    spared = spare_memory(placements, weights)
    assert [placement.threads for placement in spared] == expected
