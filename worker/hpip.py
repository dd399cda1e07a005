"""The extra `hpip`: libraries besides Paddle that compute a network on CPU, and one on GPUs too.

They read ONNX, to which paddle2onnx converts Paddle's format. Nothing here imports them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Literal, get_args

__all__ = [
    "CONVERTER",
    "HPIP_INSTALL",
    "OnnxBackend",
    "has_gpu_provider",
    "installed_backends",
    "missing_packages",
    "package_version",
    "remedy",
]

OnnxBackend = Literal["onnxruntime", "openvino"]
"""Backends of the extra, by the names of their packages."""

CONVERTER = "paddle2onnx"

HPIP_INSTALL = "pip install '.[hpip]'"
"""How to install the extra, from a checkout of the project."""


def installed_backends() -> tuple[OnnxBackend, ...]:
    """Find the backends that can be loaded, as far as that shows without loading them.

    Returns:
        Those whose package and whose converter are installed.
    """
    names: tuple[OnnxBackend, ...] = get_args(OnnxBackend)
    return tuple(name for name in names if not missing_packages(name))


def missing_packages(backend: OnnxBackend) -> tuple[str, ...]:
    """Find out what must be installed before a backend can be used.

    Returns:
        The packages that are not installed.
    """
    return tuple(name for name in (backend, CONVERTER) if importlib.util.find_spec(name) is None)


def has_gpu_provider(name: Literal["cuda", "tensorrt"]) -> bool:
    """Find out whether the installed ONNX Runtime was built for NVIDIA's GPUs.

    Returns:
        Whether its package has the library; not whether that finds CUDA's or TensorRT's own.
    """
    spec = importlib.util.find_spec("onnxruntime")
    directories = [] if spec is None else spec.submodule_search_locations or []
    return any(
        any((Path(directory) / "capi").glob(f"*onnxruntime_providers_{name}.*"))
        for directory in directories
    )


def remedy() -> str:
    """Say how to install the extra.

    Returns:
        A clause for an error message.
    """
    if sys.version_info >= (3, 13):
        return f"{CONVERTER} has no packages for Python 3.13: use Python 3.11 or 3.12"
    return f"{HPIP_INSTALL} in a checkout of this project installs it"


def package_version(module: str) -> str:
    """Find the version of an installed package by the name that it is imported by.

    Returns:
        The version; with the package's name where that is another one, such as `paddlepaddle-gpu`;
        empty where nothing tells.
    """
    try:
        return importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        packages = importlib.metadata.packages_distributions().get(module, ())
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
