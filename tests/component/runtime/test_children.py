"""Processes of this package run nothing that happens to lie in the current directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import worker
from worker.runtime.children import module_command

BOUND = 120.0

NAMES = ("worker", "json", "numpy", "typing", "socket", "cv2", "paddle", "sitecustomize", "pathlib")
"""Modules that a stranger's directory has, and that ours or Python's own must not be taken for."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command in a directory full of modules that say so when they are executed."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py was executed')\n")

    def start(command: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            timeout=BOUND,
            check=False,
        )

    return start


def test_a_child_takes_nothing_from_the_current_directory(run: Run) -> None:
    done = run(module_command("worker.cli", "--version"))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{worker.__version__}\n", "")


@pytest.mark.parametrize("safe", ["", "1"])
def test_a_child_finds_the_very_package_of_its_parent(run: Run, tmp_path: Path, safe: str) -> None:
    # The package lies in the current directory, beside the others, and is installed nowhere.
    (tmp_path / "worker.py").unlink()
    (tmp_path / "worker").mkdir()
    for name in ("__init__.py", "errors.py", "runtime"):
        (tmp_path / "worker" / name).symlink_to(Path(worker.__file__).parent / name)
    (tmp_path / "worker" / "which.py").write_text(
        "import json, sys, worker\n"
        "def main():\n"
        "    print(json.dumps([worker.__path__, sys.argv, sys.path]))\n"
    )
    program = (
        "import subprocess, sys; sys.path.insert(0, '.'); del sys.path[1:2]; "
        "from worker.runtime.children import module_command; "
        "print(subprocess.run(module_command('worker.which', 'a', 'b'), check=True, "
        "capture_output=True, text=True).stdout)"
    )
    for name in NAMES[1:]:
        (tmp_path / f"{name}.py").rename(tmp_path / f"{name}.txt")
    # What the child alone must not take.
    (tmp_path / "json.py").write_text("raise SystemExit('json.py was executed')\n")
    done = run([sys.executable, "-S", "-P", "-c", program], PYTHONSAFEPATH=safe)
    assert done.returncode == 0, done.stderr
    path, arguments, search = json.loads(done.stdout)
    assert [Path(each).resolve() for each in path] == [tmp_path / "worker"]
    assert arguments == ["worker.which", "a", "b"]
    assert not {"", ".", str(tmp_path)} & set(search)


@pytest.mark.parametrize("safe", ["", "1"])
def test_the_module_is_found_in_the_current_directory_and_nothing_else(
    run: Run, tmp_path: Path, safe: str
) -> None:
    # `python -m worker` beside a `worker.py` is that `worker.py`, as anybody expects of Python.
    (tmp_path / "worker.py").unlink()
    done = run([sys.executable, "-m", "worker", "models", "list", "--json"], PYTHONSAFEPATH=safe)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)) == 80
