"""A local pipeline and its surroundings: devices, what importing loads, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from demo.images import photographs
from tests.support.images import colour_png
from worker import create_pipeline
from worker.device import CPU
from worker.errors import ModelError, Reason, SettingsError
from worker.inference.placement import Placement
from worker.model import load_model_spec
from worker.predict import ClassificationResult, FailedInput
from worker.predict.local_engine import LOCAL_FETCH, start_engine
from worker.predictor.loading import load_predictor
from worker.settings import Settings

BOUND = 120.0

GREEN = np.full((224, 224, 3), (0, 255, 0), np.uint8)
"""Crashes the predictor where that is injected."""


def test_slots_join_the_first_one_and_share_the_images(model_dir: Path) -> None:
    spec = load_model_spec(model_dir)
    crops = list(np.random.default_rng(0).integers(0, 256, (5, 224, 224, 3), np.uint8))
    two = start_engine(spec, [Placement(CPU, 1)] * 2, "paddle", Settings())
    pool = two.value.pool
    first = pool._supervisors[0]

    async def scores() -> list[npt.NDArray[np.float32]]:
        return await asyncio.gather(*(pool.classify(crop, 0.0, 2) for crop in crops))

    try:
        here = load_predictor(spec, CPU, 1).scores(np.stack(crops))
        assert len(pool.pids) == 1, "the other one starts when images wait"
        begun = time.monotonic()
        while not first.solo:  # it shares the cores when the other one is there
            np.testing.assert_allclose(np.stack(two.call(scores())), here, atol=2e-4)
            assert time.monotonic() < begun + BOUND
        np.testing.assert_allclose(np.stack(two.call(scores())), here, atol=2e-4)
        one, other = pool.pids
        os.kill(other, signal.SIGKILL)  # as a crash would
        np.testing.assert_allclose(np.stack(two.call(scores())), here, atol=2e-4)
        assert one in pool.pids
    finally:
        two.close()
    assert pool.pids == []


def test_an_image_that_breaks_the_network_costs_only_itself(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_FAILPOINTS", "predictor.kill=00ff00,decode.segv=0000ff")
    photo = photographs()[0]
    with create_pipeline(model=model_dir, device="cpu") as made:
        given = [photo.path, GREEN, photo.path]
        first, poison, last = made.predict(given, batch_size=3, on_error="yield")
        assert isinstance(first, ClassificationResult)
        assert isinstance(last, ClassificationResult)
        assert first["class_ids"][0] == last["class_ids"][0] == photo.class_id
        assert isinstance(poison, FailedInput)
        assert poison.error.reason is Reason.POISON
        assert poison.error.message.startswith("the predictor failed on this image alone: ")
        # The same of one that breaks the decoder.
        given = [photo.path, colour_png("#0000ff"), photo.path]
        first, deadly, last = made.predict(given, batch_size=3, on_error="yield")
        assert isinstance(first, ClassificationResult)
        assert isinstance(last, ClassificationResult)
        assert first["class_ids"][0] == last["class_ids"][0] == photo.class_id
        assert isinstance(deadly, FailedInput)
        assert deadly.error.reason is Reason.CORRUPT_IMAGE
        assert "it crashes the decoder, also when it is alone (SIGSEGV)" in deadly.error.message


def test_results_name_the_model_that_computed_them(model_dir: Path) -> None:
    with create_pipeline(model=model_dir, device="cpu", use_hpip=False) as made:
        assert made.identity.name == "EfficientNet-Lite0"
        assert made.identity.digest == load_model_spec(model_dir).digest
        assert made.identity.backend == made.backend
        assert made.backend.startswith("paddle")


def test_urls_of_a_host_share_connections_and_never_more_than_its_places(model_dir: Path) -> None:
    data = photographs()[0].path.read_bytes()
    connections: set[tuple[str, int]] = set()

    class Images(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            connections.add(self.client_address)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing: the tests' output is theirs."""

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Images) as server,
        create_pipeline(model=model_dir, device="cpu") as made,
    ):
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            urls = [f"http://127.0.0.1:{server.server_port}/{n}.jpg" for n in range(40)]
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("NO_PROXY", "127.0.0.1")
                results = list(made.predict(urls, batch_size=20))
        finally:
            server.shutdown()
            thread.join()
    assert [result["input_path"] for result in results] == urls
    assert len({result["class_ids"][0] for result in results}) == 1
    assert len(connections) <= LOCAL_FETCH.per_host, "kept alive, and no more than its places"


@pytest.mark.parametrize(
    ("device", "error", "message"),
    [
        ("gpu:0", ModelError, "gpu:0: the installed paddlepaddle has no CUDA"),
        ("gpu:0,1", ModelError, "gpu:0: the installed paddlepaddle has no CUDA"),
        ("npu:0", ModelError, "npu:0: Paddle's plug-in for NPUs is missing"),
        ("cpu:0", SettingsError, "device is 'cpu:0': not a device"),
        ("tpu", SettingsError, "device is 'tpu': not a device; use cpu, gpu:0"),
    ],
)
def test_a_device_is_refused_before_the_model_is_looked_at(
    device: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        create_pipeline(model="no-such-model", device=device)


def test_a_model_that_is_nowhere_is_named() -> None:
    with pytest.raises(ModelError, match="'no-such-model'"):
        create_pipeline(model="no-such-model", device="cpu")


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = (
        "import sys, worker; "
        "print(sorted({'numpy', 'cv2', 'paddle', 'aiohttp', 'pydantic'} & sys.modules.keys())); "
        "print(callable(worker.create_pipeline), hasattr(worker, 'nothing'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == ["[]", "True False"]


@pytest.mark.parametrize("handled", [True, False])
def test_loading_paddle_leaves_sigterm_alone(handled: bool) -> None:
    program = (
        "import os, signal; "
        "from worker.device import CPU; "
        "from worker.predictor.backends.devices import import_paddle; "
        + ("signal.signal(signal.SIGTERM, lambda *_: print('heard')); " if handled else "")
        + "import_paddle(CPU); "
        "os.kill(os.getpid(), signal.SIGTERM); "
        "print('alive')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == (["heard", "alive"] if handled else [])
    assert done.returncode == (0 if handled else -signal.SIGTERM)
    assert not done.stderr


ENDING = """
import sys
from worker import create_pipeline

made = create_pipeline(model=sys.argv[1], device="cpu")
results = made.predict([sys.argv[2]] * 20, batch_size=4)
print(next(results)["class_ids"][0])
print(*made._portal.value.pool.pids)
sys.stdout.flush()
"""

ENDINGS = {
    "within a generator": (ENDING, 0),
    "by an error": (ENDING + "sys.exit(7)", 7),
    "let go of": (ENDING + "del results, made", 0),
    "by SIGKILL": (ENDING + "import os; os.kill(os.getpid(), 9)", -9),
    "in a loop": (
        f"import asyncio\n\nasync def main():\n    exec({ENDING!r})\n\nasyncio.run(main())",
        0,
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interpreter_ends_without_close_and_leaves_no_process(
    model_dir: Path, ending: str
) -> None:
    photo = photographs()[0]
    program, status = ENDINGS[ending]
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error::ResourceWarning", "-c", program),
            *(str(model_dir), str(photo.path)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found, pids = done.stdout.splitlines()
    assert (done.returncode, found, done.stderr) == (status, str(photo.class_id), "")
    # Of a process that was killed the kernel ends the children a moment later.
    predictors = [psutil.Process(int(pid)) for pid in pids.split() if psutil.pid_exists(int(pid))]
    assert psutil.wait_procs(predictors, 10)[1] == []


CHILDREN = """
import multiprocessing, sys
from worker import create_pipeline

def top(method):
    with create_pipeline(model=sys.argv[1], device="cpu") as made:
        print(method, next(made.predict(sys.argv[2]))["class_ids"][0], flush=True)

if __name__ == "__main__":
    top("parent")
    kept = create_pipeline(model=sys.argv[1], device="cpu")
    for method in ("fork", "spawn"):
        child = multiprocessing.get_context(method).Process(target=top, args=(method,))
        child.start()
        child.join()
        print(child.exitcode, flush=True)
    print(next(kept.predict(sys.argv[2]))["class_ids"][0])
"""


def test_children_make_pipelines_of_their_own(model_dir: Path, tmp_path: Path) -> None:
    photo = photographs()[0]
    program = tmp_path / "children.py"  # a file, which a spawned child can import
    program.write_text(CHILDREN)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", program, str(model_dir), str(photo.path)],
        env=os.environ | {"PYTHONPATH": os.fspath(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    top = str(photo.class_id)
    assert done.stdout.splitlines() == [
        *(f"parent {top}", f"fork {top}", "0", f"spawn {top}", "0", top)
    ], done.stderr
    assert not done.stderr


def test_a_closed_pipeline_says_so(model_dir: Path) -> None:
    photo = photographs()[0]
    made = create_pipeline(model=model_dir, device="cpu")
    results = made.predict([photo.path] * 9)
    next(results)
    made.close()
    with pytest.raises(RuntimeError, match="the pipeline is closed: make another"):
        list(results)
    with pytest.raises(RuntimeError, match="the pipeline is closed: make another"):
        made.predict(photo.path)
