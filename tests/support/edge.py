"""Bundles for other devices: their programs loaded or run, and their page served."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from tests.support.paths import ROOT

__all__ = ["classify", "export_onnx", "load_template", "serve"]

TEMPLATE = ROOT / "worker/edge/template"


def load_template(name: str) -> ModuleType:
    """A module that is copied into bundles."""
    spec = importlib.util.spec_from_file_location(f"edge_{name}", TEMPLATE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def export_onnx(model: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Make a bundle with a page, as a user does; PaddleX's spelling of the option is understood."""
    command = [sys.executable, "-m", "worker", "models", "export", "--format", "onnx"]
    return subprocess.run(
        [*command, "--save_path", str(target), str(model)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def classify(bundle: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a bundle's program as another device would: this project is not on its path."""
    project = ("PYTHONPATH", "PYTHONSAFEPATH")
    environ = {name: value for name, value in os.environ.items() if name not in project}
    return subprocess.run(
        [sys.executable, "-W", "error", bundle / "classify.py", *arguments],
        cwd=bundle.parent,
        env={**environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def serve(directory: Path) -> Iterator[str]:
    """Serve files on loopback as `python -m http.server` does; gives the address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
