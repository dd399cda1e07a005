"""What commands and packages must not load when they are imported: heavy libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

CODECS = {"cv2", "PIL", "imagecodecs", "simplejpeg", "pypdfium2"}
CLIENTS = {"aiohttp", "aiokafka", "asyncio", "http.client", "multiprocessing", "ssl", "uvloop"}
LIBRARIES = {"numpy", "orjson", "paddle", "prometheus_client", "pybase64", "structlog"}
HEAVY = CODECS | CLIENTS | LIBRARIES
SETTINGS = {"worker.settings", "yaml"}

COMMANDS = {
    "--version": HEAVY | SETTINGS | {"rich"},
    "--help": HEAVY | SETTINGS,
    "run --help": HEAVY | SETTINGS,
    "serve --help": HEAVY | SETTINGS,
    "predict --help": HEAVY | SETTINGS,
    "evaluate --help": HEAVY | SETTINGS | {"rich", "worker.evaluation"},
    "submit --help": HEAVY | SETTINGS,
    "train --help": HEAVY | SETTINGS | {"rich", "worker.training"},
    "bench --help": HEAVY | SETTINGS | {"rich", "worker.bench"},
    "dead-letters --help": HEAVY | SETTINGS,
    "dead-letters list --help": HEAVY | SETTINGS | {"worker.dead_letters"},
    "dead-letters replay --help": HEAVY | SETTINGS | {"rich", "worker.dead_letters"},
    "top --help": HEAVY | SETTINGS | {"rich", "worker.top"},
    "dataset --help": HEAVY | SETTINGS | {"rich", "worker.datasets"},
    "dataset check --help": HEAVY | SETTINGS | {"rich", "worker.datasets"},
    "models --help": HEAVY | SETTINGS,
    "models list --help": HEAVY | SETTINGS,
    "models export --help": HEAVY | SETTINGS | {"worker.edge"},
    "models list": HEAVY,
    "models show PP-LCNet_x1_0": HEAVY,
    "model --help": HEAVY | SETTINGS | {"rich", "worker.top"},
    "model set --help": HEAVY | SETTINGS | {"rich", "worker.top"},
    "config --help": HEAVY | SETTINGS,
    "config": HEAVY,
    "config image_classification": HEAVY | SETTINGS,
}

FACES = {
    "worker.client": HEAVY | SETTINGS | {"pydantic"},
    # A client needs that for its own protocol, and no codec.
    "worker.client.http": CODECS | {"aiokafka", "numpy", "paddle", "pydantic"},
    "worker.client.kafka": CODECS | {"numpy", "paddle", "typer"},
    "worker": HEAVY | SETTINGS | {"pydantic", "typer"},
    "worker.contract": HEAVY | SETTINGS | {"pydantic"},
    "worker.datasets": HEAVY | SETTINGS | {"pydantic"},
    # What a label may be is a matter of models, whose files are YAML.
    "worker.datasets.opening": HEAVY | (SETTINGS - {"yaml"}) | {"pydantic"},
    "worker.engine": CODECS | {"paddle"},
    "worker.predict": HEAVY | SETTINGS | {"pydantic"},
    "worker.predict.template": HEAVY | SETTINGS | {"pydantic"},
    "worker.settings": HEAVY | {"yaml", "worker.settings.sources"},
    # Without tracing, a worker runs without it.
    "worker.app": {"opentelemetry"} | CODECS,
    # Image processes have the codecs; a result loads some when it is drawn.
    "worker.engine.engine": CODECS | {"paddle"},
    "worker.predict.image_classification": CODECS | {"paddle"},
    "worker.tracing": HEAVY | SETTINGS | {"opentelemetry", "pydantic"},
    "worker.submit": HEAVY | SETTINGS | {"pydantic"},
    # Submitting needs a client for Kafka, and no codec.
    "worker.submit.submission": CODECS | {"paddle"},
}

LIST_MODULES = """
import atexit, json, os, sys
from pathlib import Path

# First to be registered, so the last to be called.
atexit.register(lambda: Path(os.environ["MODULES"]).write_text(json.dumps(sorted(sys.modules))))
"""

RUN_COMMAND = """
from worker.cli import main

main()
"""


def modules_after(program: str, arguments: Iterable[str], directory: Path) -> set[str]:
    """The modules that a program has loaded when it ends."""
    listed = directory / "modules.json"
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES + program, *arguments],
        env={**os.environ, "MODULES": str(listed), "WORKER_MODEL": "any"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return set(json.loads(listed.read_text("utf-8")))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_only_what_it_needs(command: str, tmp_path: Path) -> None:
    loaded = modules_after(RUN_COMMAND, command.split(), tmp_path)
    assert "worker.cli.commands" in loaded
    assert not COMMANDS[command] & loaded


@pytest.mark.parametrize("module", FACES)
def test_importing_a_package_loads_only_what_it_needs(module: str, tmp_path: Path) -> None:
    loaded = modules_after(f"import {module}", (), tmp_path)
    assert module in loaded
    assert not FACES[module] & loaded


@pytest.mark.parametrize(
    "package", ["worker", "worker.client", "worker.datasets", "worker.predict", "worker.submit"]
)
def test_a_package_has_all_names_that_it_lists(package: str, tmp_path: Path) -> None:
    program = f"import {package} as face\nassert all(hasattr(face, name) for name in face.__all__)"
    modules_after(program, (), tmp_path)
    with pytest.raises(AssertionError, match=f"module '{package}' has no attribute 'nothing'"):
        modules_after(f"import {package} as face\nface.nothing", (), tmp_path)
