"""Signals that come before a worker is there to hear them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

Start = Callable[[str, str], "subprocess.Popen[bytes]"]

HOLD = """
import sys

print("loading", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command which is held where it imports a module for the first time."""
    with ExitStack() as cleanup:

        def make(command: str, module: str) -> subprocess.Popen[bytes]:
            (tmp_path / f"{module}.py").write_text(HOLD, "utf-8")
            process = cleanup.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "worker", command],
                    env={**os.environ, "PYTHONPATH": str(tmp_path), "WORKER_MODEL": "any"},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            )
            cleanup.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == b"loading\n"
            return process

        yield make


@pytest.mark.parametrize("module", ["typer", "aiokafka"])
@pytest.mark.parametrize("command", ["run", "serve"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_worker_that_still_loads_its_code_ends_in_order(
    start: Start, number: signal.Signals, command: str, module: str
) -> None:
    process = start(command, module)
    process.send_signal(number)
    assert process.wait(10) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_other_commands_end_like_any_program(start: Start) -> None:
    process = start("predict", "typer")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
