"""Standard output and error of a worker: read, not read, and written to by native code."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from demo.ports import free_ports
from tests.support.harness import BOUND, until
from tests.support.native import PRINTED, complained_about, printing_model

DEADLINE = 20.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return printing_model(tmp_path_factory.mktemp("printing"))


class Service:
    """`classify-worker serve`, with standard streams of the test's choice."""

    def __init__(self, model: Path, cache: Path, cleanup: ExitStack, **streams: Any) -> None:
        (self.port,) = free_ports(1)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKER_")}
        self.process = cleanup.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "worker", "serve"],
                env=inherited
                | {
                    "XDG_CACHE_HOME": str(cache),
                    "WORKER_MODEL": str(model),
                    "WORKER_HTTP__HOST": "127.0.0.1",
                    "WORKER_HTTP__PORT": str(self.port),
                    "WORKER_PREDICTOR__BACKEND": "paddle",
                    "WORKER_PREDICTOR__SLOTS": "1",
                    "WORKER_SHUTDOWN__DEADLINE": str(DEADLINE),
                },
                **{"stdin": subprocess.DEVNULL} | streams,
            )
        )
        cleanup.callback(self.process.kill)

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body; 0 while nothing listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            try:
                connection.request(
                    "GET" if body is None else "POST",
                    path,
                    body,
                    {"Content-Type": "application/json"},
                )
                response = connection.getresponse()
                return response.status, response.read()
            except OSError:
                return 0, b""

    def wait_until_ready(self) -> None:
        until(
            lambda: self.process.poll() is not None or self.ask("/readyz")[0] == 200,
            "the worker is ready",
        )
        assert self.process.poll() is None

    def classify(self, image: bytes) -> int:
        job = {"image": base64.b64encode(image).decode(), "visualize": False}
        return self.ask("/image-classification", json.dumps(job).encode())[0]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit status after a signal, which must come before the deadline."""
        began = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(BOUND)
        assert time.monotonic() - began < DEADLINE + 1
        return status

    def value(self, metric: str) -> float:
        text = self.ask("/metrics")[1].decode()
        families = text_string_to_metric_families(text)
        return sum(s.value for each in families for s in each.samples if s.name == metric)


MakeService = Callable[..., Service]


@pytest.fixture
def serve(model: Path, tmp_path: Path) -> Iterator[MakeService]:
    with ExitStack() as cleanup:
        yield lambda **streams: Service(model, tmp_path, cleanup, **streams)


def full_pipe() -> tuple[int, int]:
    """A pipe that takes no byte more."""
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(sink, b"\n" * 512)
    os.set_blocking(sink, True)
    return source, sink


@pytest.mark.parametrize("reader", ["stopped", "gone"])
def test_a_log_that_nobody_reads_holds_up_nothing(serve: MakeService, reader: str) -> None:
    source, sink = full_pipe()
    if reader == "gone":
        os.close(source)
    service = serve(stdout=sink, stderr=sink)
    os.close(sink)
    service.wait_until_ready()
    for _ in range(3):
        assert service.classify(complained_about()) == 200
    assert service.ask("/livez") == (200, b"ok\n")
    if reader == "gone":
        assert service.value("classify_log_lines_dropped_total") > 0
    assert service.end() == 0
    if reader == "stopped":
        os.close(source)


def test_standard_output_is_empty_and_standard_error_has_log_lines_alone(
    serve: MakeService, tmp_path: Path
) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        service = serve(stdout=stdout, stderr=stderr)
    service.wait_until_ready()
    assert service.classify(complained_about()) == 200
    assert service.end(signal.SIGINT) == 0
    assert out.read_bytes() == b""
    lines = [json.loads(line) for line in err.read_text("utf-8").splitlines()]
    native = [line for line in lines if line["event"] == "native_message"]
    said = {(line["logger"], line["level"]) for line in native if PRINTED in line["message"]}
    assert said == {("native.predictor", "info")}
    assert any(
        line["logger"] == "native.image" and "libpng warning: " in line["message"]
        for line in native
    )
    events = [line["event"] for line in lines]
    assert events[0] == "starting"
    assert events.index("starting") < events.index("warm") < events.index("stopping")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_worker_without_standard_descriptors_works_and_ends_in_order(
    serve: MakeService, closed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shell = tmp_path / "python"
    shell.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@" {closed}\n')
    shell.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(shell))
    service = serve(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    service.wait_until_ready()
    assert service.classify(complained_about()) == 200
    assert service.end() == 0


def predict(model: Path, image: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    given = ("--input", str(image), "--model", str(model), "--device", "cpu", "--format", "json")
    return subprocess.run(
        [sys.executable, "-m", "worker", "predict", *given],
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


def test_predict_prints_results_alone(model: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(complained_about())
    done = predict(model, image, tmp_path)
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["input"] == str(image)
    assert PRINTED not in done.stderr
    for complaint in done.stderr.splitlines():
        assert " [warning  ] native_message " in complaint
    assert "libpng warning: " in done.stderr


def test_paddle_does_print_on_standard_output(model: Path, tmp_path: Path) -> None:
    # Otherwise the tests above would prove nothing.
    program = (
        "import sys; from pathlib import Path; from worker.device import CPU; "
        "from worker.model import load_model_spec; "
        "from worker.predictor.loading import load_predictor; "
        "load_predictor(load_model_spec(Path(sys.argv[1])), CPU, 1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(model)],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=True,
    )
    assert PRINTED in done.stdout
