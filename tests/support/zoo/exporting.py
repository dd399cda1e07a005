"""Models exported in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support.paths import ROOT

__all__ = ["Export", "export_to"]

Export = Callable[..., Path]


def export_to(target: Path, name: str, *options: str, older: bool = False) -> None:
    """Export in a process of its own: the flag is read once, and large networks are freed."""
    with tempfile.TemporaryDirectory(dir=target.parent) as staging:
        made = Path(staging) / name
        exporter = subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "tests.support.zoo.export",
                name,
                made,
                *options,
            ],
            cwd=ROOT,
            env={**os.environ, "FLAGS_enable_pir_api": "0" if older else "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert exporter.returncode == 0, exporter.stderr
        shutil.move(made, target)
