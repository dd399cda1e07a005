"""The formats of bundles: what is needed to make one, what is in it, how exactly it answers."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from worker.errors import UnfitSystemError
from worker.hpip import CONVERTER, OnnxBackend, package_version

__all__ = [
    "EDGE_INSTALL",
    "FORMATS",
    "INT8_TOLERANCE",
    "BundleFormat",
    "FormatName",
    "check_packages",
]

FormatName = Literal["onnx", "openvino", "ncnn"]

EDGE_INSTALL = "pip install '.[edge]'"
"""How to install the extra, from a checkout of the project."""

INT8_TOLERANCE = 0.05
"""Largest difference of an int8 network's score between processors, which round differently."""

_PNNX = "pnnx"


@dataclass(frozen=True, slots=True)
class BundleFormat:
    """One format.

    Attributes:
        runtime: the package that computes it on a device.
        backend: what computes it here, if int8 networks are made for it.
        packages: those that making a bundle needs.
        network: the network's files in a bundle.
        half: whether weights may be kept in 16 bits.
        tolerance: largest difference of a score to Paddle's.
    """

    runtime: str
    backend: OnnxBackend | None
    packages: tuple[str, ...]
    network: tuple[str, ...]
    half: bool
    tolerance: float


FORMATS: Mapping[FormatName, BundleFormat] = {
    "onnx": BundleFormat(
        runtime="onnxruntime",
        backend="onnxruntime",
        packages=(CONVERTER, "onnxruntime"),
        network=("model.onnx",),
        half=False,
        tolerance=1e-4,
    ),
    "openvino": BundleFormat(
        runtime="openvino",
        backend="openvino",
        packages=(CONVERTER, "openvino"),
        network=("model.xml", "model.bin"),
        half=True,
        tolerance=1e-2,
    ),
    "ncnn": BundleFormat(
        runtime="ncnn",
        backend=None,
        packages=(CONVERTER, _PNNX, "ncnn"),
        network=("model.param", "model.bin"),
        half=True,
        tolerance=1e-2,
    ),
}

_INT8_PACKAGES = ("onnxruntime", "ml_dtypes")


def check_packages(
    name: FormatName, *, int8: bool, python: tuple[int, int] = sys.version_info[:2]
) -> None:
    """Make sure that all packages are there which a bundle is made with.

    Args:
        python: the version of Python that is running.

    Raises:
        UnfitSystemError: one is not; the message says how to get it.
    """
    wanted = dict.fromkeys((*FORMATS[name].packages, *(_INT8_PACKAGES if int8 else ())))
    missing = [package for package in wanted if importlib.util.find_spec(package) is None]
    if missing:
        what = f"--format {name}{' --int8' if int8 else ''}"
        raise UnfitSystemError(
            f"{what} needs {', '.join(missing)}, not installed: {_remedy(missing, python)}"
        )


def versions(name: FormatName) -> dict[str, str]:
    """Find the versions of what makes a bundle.

    Returns:
        A version for each package.
    """
    return {package: package_version(package) for package in FORMATS[name].packages}


def _remedy(missing: Sequence[str], python: tuple[int, int]) -> str:
    if CONVERTER in missing and python >= (3, 13):
        return (
            f"{CONVERTER} has no packages for Python {'.'.join(map(str, python))}: export with "
            "Python 3.11 or 3.12; the bundle runs with any"
        )
    steps = []
    if set(missing) - {_PNNX}:
        steps.append(f"{EDGE_INSTALL} in a checkout of this project")
    if _PNNX in missing:
        # Its wheel asks for PyTorch, gigabytes that its converter does not use.
        steps.append(f"pip install --no-deps {_PNNX}")
    return ", then ".join(steps)
