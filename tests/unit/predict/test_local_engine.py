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
from worker.errors import JobError, Reason, SettingsError, UnfitSystemError
from worker.images.fetch import ImageFetcher
from worker.inference.placement import Placement, available_cores
from worker.predict.local_engine import LOCAL_FETCH, choose_backend, choose_placements
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


def config(*, use_hpip: bool) -> PipelineConfig:
    return PipelineConfig(model="any", use_hpip=use_hpip)


@pytest.mark.usefixtures("with_extra")
@pytest.mark.parametrize(
    ("use_hpip", "settings", "expected"),
    [
        (False, PredictorSettings(), "paddle"),
        (False, PredictorSettings(backend="auto"), "auto"),
        (False, PredictorSettings(backend="openvino"), "openvino"),
        (True, PredictorSettings(), "auto"),
        (True, PredictorSettings(backend="paddle"), "auto"),
    ],
)
def test_what_computes_is_paddle_unless_told_otherwise(
    *, use_hpip: bool, settings: PredictorSettings, expected: str
) -> None:
    assert choose_backend(config(use_hpip=use_hpip), settings, CPU) == expected


@pytest.mark.usefixtures("without_extra")
def test_the_extra_that_use_hpip_needs_is_named() -> None:
    with pytest.raises(SettingsError, match="use_hpip needs onnxruntime or openvino, and paddle2"):
        choose_backend(config(use_hpip=True), PredictorSettings(), CPU)
    # Elsewhere than on the CPU Paddle computes in any case.
    gpu = Device.parse("gpu:0")
    assert choose_backend(config(use_hpip=True), PredictorSettings(), gpu) == "auto"
    # The default of the worker takes what there is.
    assert choose_backend(config(use_hpip=False), PredictorSettings(backend="auto"), CPU) == "auto"


@pytest.mark.usefixtures("without_extra")
def test_a_backend_that_is_set_and_missing_is_an_error() -> None:
    with pytest.raises(
        UnfitSystemError, match=r"predictor\.backend: onnxruntime needs onnxruntime"
    ):
        choose_backend(config(use_hpip=False), PredictorSettings(backend="onnxruntime"), CPU)


@pytest.mark.usefixtures("without_extra")
def test_a_backend_that_is_missing_is_refused_before_the_model_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORKER_PREDICTOR__BACKEND", "openvino")
    with pytest.raises(UnfitSystemError, match="openvino needs openvino"):
        create_pipeline(model="no-such-model", device="cpu")


@pytest.mark.parametrize("device", ["cpu", "CPU"])
def test_one_predictor_has_all_cores(device: str) -> None:
    assert choose_placements(Device.parse(device)) == [Placement(CPU, available_cores())]
