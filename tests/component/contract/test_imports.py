"""A producer can use the wire contract without loading what only a worker needs."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import worker.contract

HEAVY = {
    "PIL", "aiohttp", "aiokafka", "cv2", "imagecodecs", "numpy", "paddle", "pydantic", "simplejpeg",
}  # fmt: skip
"""Codecs, runtimes and clients; none of them has anything to do with messages."""

SHOW = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_importing_the_contract_loads_neither_codecs_nor_clients() -> None:
    found = pkgutil.iter_modules(worker.contract.__path__)
    modules = [f"worker.contract.{module.name}" for module in found]
    assert "worker.contract.results" in modules
    loaded = subprocess.run(
        [sys.executable, "-c", SHOW, *modules], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "orjson" in loaded
    assert not HEAVY & set(loaded)
