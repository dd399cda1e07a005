"""The device to use when none is named, found out by a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from worker.device import CPU
from worker.errors import UnfitSystemError
from worker.inference.default_device import find_default_device, is_cpu_build
from worker.runtime.children import module_command


def test_a_build_for_the_cpu_has_the_cpu_and_is_not_loaded_here() -> None:
    program = (
        "import sys; from worker.inference.default_device import find_default_device; "
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
    monkeypatch.setattr("worker.inference.default_device.is_cpu_build", lambda: False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UnfitSystemError, match=message):
        find_default_device()


def test_the_probe_finds_what_the_table_of_versions_says() -> None:
    assert is_cpu_build(), "the tests run with a build for CPUs"
    done = subprocess.run(
        module_command("worker.predictor.device_probe"),
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.decode().split()[-1] == str(CPU)


def test_what_a_build_is_for_is_told_without_loading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = tmp_path / "paddle" / "version" / "__init__.py"
    versions.parent.mkdir(parents=True)
    (tmp_path / "paddle" / "__init__.py").write_text("raise AssertionError")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    assert not is_cpu_build(), "in doubt"
    for text, cpu in [
        ("cuda_version = 'False'\nhip_version = None", True),
        ("cuda_version = '12.6'", False),
        ("cuda_version = 'False'\nhip_version = '6.1'", False),
        ("cuda_version = 'False'\nxpu_xre_version = '5'", False),
        ("something = 'else'", False),
        ("raise ValueError", False),
    ]:
        versions.write_text(text)
        assert is_cpu_build() is cpu, text
