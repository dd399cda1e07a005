"""Models exported by the tests: real architectures, random weights."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.cache import cache_directory, exclusive

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "tests/data/zoo"
SOURCES = [
    Path(__file__).parent / f"{name}.py" for name in ("architectures", "calibration", "export")
]

Export = Callable[..., Path]


@pytest.fixture(scope="session")
def export() -> Export:
    """Exports a small model, or finds it from an earlier run: `export(NAME, *options)`.

    The models whose calibration is kept in tests/data have the same weights on any machine.
    """
    made = hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES)).hexdigest()

    def run(name: str, *options: str, older: bool = False) -> Path:
        measured = MEASURED / f"{name}.npz"
        if measured.exists():
            options = (*options, f"--measured={measured}")
        key = hashlib.sha256(f"{made} {name} {options} {older}".encode()).hexdigest()[:12]
        target = cache_directory() / "tests-zoo" / f"{name}-{key}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(target.with_suffix(".lock")):
            if not target.is_dir():
                export_to(target, name, *options, older=older)
        return target

    return run


def export_to(target: Path, name: str, *options: str, older: bool = False) -> None:
    """Export in a process of its own: the flag is read once, and large networks are freed."""
    with tempfile.TemporaryDirectory(dir=target.parent) as workshop:
        made = Path(workshop) / name
        exporter = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.zoo.export", name, made, *options],
            cwd=ROOT,
            env={**os.environ, "FLAGS_enable_pir_api": "0" if older else "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert exporter.returncode == 0, exporter.stderr
        shutil.move(made, target)
