"""The device to use when none is named, found out by a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from worker.device import CPU
from worker.errors import UnfitSystemError
from worker.inference.devices import find_default_device


def test_a_build_for_the_cpu_has_the_cpu_and_is_not_loaded_here() -> None:
    program = (
        "import sys; from worker.inference.devices import find_default_device; "
        "print(find_default_device()); sys.exit('paddle' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=120, check=True
    )
    assert done.stdout.decode().split() == [str(CPU)]


@pytest.mark.parametrize(
    ("paddle", "message"),
    [
        ("raise ImportError('libgomp.so.1: cannot open')", "PaddlePaddle cannot be loaded"),
        ("import os; os._exit(9)", "crashed while it loaded .exit status 9"),
    ],
)
def test_a_paddle_that_does_not_load_is_an_error_that_says_so(
    paddle: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paddle.py").write_text(paddle)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UnfitSystemError, match=message):
        find_default_device()
