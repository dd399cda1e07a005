"""The demo as `make demo` runs it, and with KEEP=1."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import psutil
import pytest

from demo.errors import DemoError
from demo.images import photographs
from demo.worker_process import WorkerProcess
from tests.support.harness import until

BOUND = 240.0


class Demo:
    """`python -m demo`, its output gathered while it runs."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo", *arguments],
            env=os.environ | {"COLUMNS": "80"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def wait(self) -> int:
        try:
            return self.process.wait(BOUND)
        finally:
            self.process.kill()
            self._reader.join(10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            self.lines += stdout


def test_everything_comes_back(tmp_path: Path, model_dir: Path, kafka_jars: list[Path]) -> None:
    demo = Demo("--out", str(tmp_path))
    assert demo.wait() == 0, demo.output
    shown = photographs()
    jobs = 3 * len(shown) + 1
    assert f"All {jobs} answers are as expected." in demo.output
    assert f"{jobs - 1} jobs succeeded, 1 failed" in demo.output
    assert "p50" in demo.output
    assert "p99" in demo.output
    for photograph in shown:
        rows = [line for line in demo.output.splitlines() if f" {photograph.name} " in line]
        assert [row.split()[2] for row in rows] == ["base64", "url", "raw"]
        assert all(photograph.label in row for row in rows)
    (broken,) = (line for line in demo.output.splitlines() if " broken.jpg " in line)
    assert "cut off" in broken
    assert f"It is in {model_dir}\n" in demo.output
    # Directories may have any length, and are printed as they are.
    paths = (str(tmp_path), str(model_dir))
    lines = (line for line in demo.output.splitlines() if not any(p in line for p in paths))
    assert max(map(len, lines)) <= 80
    pictures = sorted((tmp_path / "pictures").glob("*.jpg"))
    assert len(pictures) == jobs - 1
    assert all(cv2.imread(str(path)) is not None for path in pictures)


def test_it_can_be_kept_and_used(tmp_path: Path, model_dir: Path, kafka_jars: list[Path]) -> None:
    demo = Demo("--keep", "--out", str(tmp_path))
    try:
        until(
            lambda: " submit " in demo.output or demo.process.poll() is not None, "it runs", BOUND
        )
        assert demo.process.poll() is None, demo.output
        started = demo.children()
        command = next(line for line in demo.output.splitlines() if " submit " in line)
        done = subprocess.run(shlex.split(command), capture_output=True, check=False, timeout=60)
        demo.process.send_signal(signal.SIGINT)
        assert demo.wait() == 0, demo.output
    finally:
        demo.process.kill()
    assert done.returncode == 0, done.stderr
    assert f"  model    {model_dir}\n" in demo.output
    assert re.search(r"-m worker model set DIR --url http://127\.0\.0\.1:\d+\n", demo.output)
    answer = json.loads(done.stdout)
    assert answer["categories"][0]["id"] == photographs()[0].class_id
    assert Path(answer["picture"]).parent == tmp_path / "mine"
    assert len(started) >= 4  # the broker, the worker, its predictor, and who watches over them
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []


def test_a_worker_that_does_not_start_says_why(tmp_path: Path) -> None:
    worker = WorkerProcess({"WORKER_MODEL": str(tmp_path / "none")}, tmp_path / "log")
    with worker, pytest.raises(DemoError, match="ended instead") as caught:
        worker.wait_until_ready(60.0)
    assert str(tmp_path / "none") in str(caught.value)
    assert not worker.running
