"""Models exported by the tests: real architectures, random weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.support.paths import DATA, ROOT
from tests.support.zoo.exporting import Export, export_to
from worker.cache import cache_directory, exclusive

MEASURED = DATA / "zoo"
SOURCES = [
    ROOT / "tests/support/zoo" / f"{name}.py" for name in ("architectures", "calibration", "export")
]


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
