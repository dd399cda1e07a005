"""How a worker that cannot go on says why: in its log, and without waiting for a reader."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.ports import free_ports

BOUND = 120.0

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]

DEFECT = """
import threading

def fail(where):
    raise ValueError(f"defect {where}")

class Unraisable:
    def __del__(self):
        fail("in a finalizer")

Unraisable()
thread = threading.Thread(target=fail, args=("in a thread",), name="of-a-library")
thread.start()
thread.join()
fail("in the main thread")
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a worker that is to end by itself."""

    def start(
        defect: str | None = None, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        if defect is not None:
            (tmp_path / "aiokafka.py").write_text(defect, "utf-8")
        (port,) = free_ports(1)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKER_")}
        return subprocess.run(
            [sys.executable, "-m", "worker", "run"],
            env=inherited
            | {
                "PYTHONPATH": str(tmp_path),
                "WORKER_MODEL": "any",
                "WORKER_HTTP__HOST": "127.0.0.1",
                "WORKER_HTTP__PORT": "0",
                "WORKER_MODEL_DIR": str(tmp_path),
                "WORKER_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
            },
            timeout=BOUND,
            check=False,
            stdout=stdout,
            stderr=stderr,
        )

    return start


def test_a_defect_is_a_log_line_with_its_trace(run: Run) -> None:
    done = run(DEFECT)
    assert (done.returncode, done.stdout) == (1, b"")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("exception_ignored", "error"),
        ("thread_failed", "error"),
        ("failed", "error"),
    ]
    for line, where in zip(lines, ("a finalizer", "a thread", "the main thread"), strict=True):
        assert line["exception"].startswith("Traceback (most recent call last):")
        assert line["exception"].endswith(f"ValueError: defect in {where}")
    assert lines[1]["where"] == "of-a-library"


def test_of_an_endless_trace_the_end_is_kept(run: Run) -> None:
    done = run("raise ValueError('words ' * 100_000 + 'the end')")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert len(line) < 20_000
    assert json.loads(line)["exception"].endswith("the end")


@pytest.mark.parametrize("defect", [DEFECT, None], ids=["defect", "no model"])
def test_nobody_has_to_read_it(run: Run, defect: str | None) -> None:
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(sink, b"\n" * 512)
    os.set_blocking(sink, True)
    try:
        done = run(defect, stdout=sink, stderr=sink)
    finally:
        os.close(source)
        os.close(sink)
    assert done.returncode == (1 if defect else 3)
