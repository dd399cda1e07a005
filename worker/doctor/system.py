"""The interpreter, the processor, the libraries, the devices and the cache of this machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from worker.device import CPU, Device
from worker.doctor.findings import Finding, Status
from worker.errors import ModelError, SettingsError, UnfitSystemError
from worker.hpip import CONVERTER, OnnxBackend, installed_backends, package_version, remedy
from worker.inference.placement import available_cores
from worker.kernels import PLAIN_KERNELS, Kernels
from worker.runtime.child_environment import child_environment
from worker.runtime.children import module_command
from worker.settings import BackendChoice

__all__ = [
    "look_at_backends",
    "look_at_cache",
    "look_at_libraries",
    "look_at_processor",
    "look_at_python",
]

PROBE = "worker.doctor.library_probe"
LITTLE_SPACE = 2**30
"""Bytes that are free on a disk below which a large model does not fit."""

_OLDEST, _NEWEST = (3, 11), (3, 13)
_NOTEWORTHY = ("avx", "avx2", "avx512f", "avx512_vnni", "amx_tile", "asimd", "sve")
_OPTIONAL = (*get_args(OnnxBackend), CONVERTER)


def look_at_python() -> Sequence[Finding]:
    """Check that the worker is tested with this interpreter.

    Returns:
        The interpreter's version.
    """
    found = (
        f"{platform.python_version()}, {sys.executable}, {platform.system()} {platform.machine()}"
    )
    if _OLDEST <= sys.version_info[:2] <= _NEWEST:
        return [Finding("Python", Status.OK, found)]
    return [Finding("Python", Status.FAIL, found, "use Python 3.11, 3.12 or 3.13")]


def look_at_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Sequence[Finding]:
    """Describe the processor.

    Returns:
        Its model, the features that kernels are chosen by, and the cores that may be used.
    """
    facts = _cpu_facts(cpuinfo)
    features = set(facts.get("flags", facts.get("Features", "")).split())
    shown = [name for name in _NOTEWORTHY if name in features]
    cores = available_cores()
    found = f"{facts.get('model name', platform.machine())}, {cores} of its cores"
    found += f"; {', '.join(shown)}" if shown else ""
    if features and platform.machine() == "x86_64":
        if "avx" not in features:
            remedy = "PaddlePaddle's packages need AVX: use another machine, or build Paddle for it"
            return [Finding("Processor", Status.FAIL, found, remedy)]
        if "avx2" not in features:
            remedy = "without AVX2 networks are computed several times slower"
            return [Finding("Processor", Status.WARN, found, remedy)]
    return [Finding("Processor", Status.OK, found)]


def look_at_libraries(
    device: Device,
    timeout: float,
    choice: BackendChoice = "auto",
    kernels: Kernels = PLAIN_KERNELS,
) -> Sequence[Finding]:
    """Load Paddle and the codecs in a process of its own: native code may crash.

    Args:
        device: the setting `device`.
        timeout: seconds for that process.
        choice: the setting `predictor.backend`: Paddle need not know a device that it leaves to
            another library.
        kernels: the settings `predictor.precision` and `predictor.tensorrt`.

    Returns:
        A finding each for Paddle, the devices, the GPUs if they are to compute, and the codecs.
    """
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter
            module_command(PROBE, str(device)),
            env=child_environment(),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # A busy machine, most often: nothing is known to be wrong.
        found = f"it did not load within {timeout:.0f} s"
        return [Finding("Paddle", Status.WARN, found, "try again with a larger --timeout")]
    lines = done.stdout.decode(errors="replace").splitlines()
    try:
        report: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[
            -1
        ]
        found = f"loading it ended the process (exit status {done.returncode}): {last}"
        remedy = "reinstall paddlepaddle, or install the build for this processor"
        return [Finding("Paddle", Status.FAIL, found, remedy)]
    if not _paddle_must_compute(choice, device, kernels):
        report.pop("device_error", None)
    return [_paddle(report), *_devices(device, report), *_gpus(device, report), _codecs(report)]


def _paddle_must_compute(choice: BackendChoice, device: Device, kernels: Kernels) -> bool:
    from worker.inference.choice import candidates  # noqa: PLC0415 - with NumPy

    if choice != "auto" or device.kind != "gpu":
        return choice != "onnxruntime"
    try:
        return candidates(device, kernels) == ("paddle",)
    except ModelError:
        # `look_at_backends` reports it.
        return False


def _paddle(report: Mapping[str, Any]) -> Finding:
    if "paddle_error" in report:
        return Finding("Paddle", Status.FAIL, "it cannot be loaded", report["paddle_error"])
    return Finding("Paddle", Status.OK, report["paddle"])


def _devices(device: Device, report: Mapping[str, Any]) -> Sequence[Finding]:
    if "paddle_error" in report:
        return []
    devices: dict[str, int] = report["devices"]
    there = ", ".join(f"{count} {kind.upper()}" for kind, count in devices.items() if count)
    found = f"{device} is set; Paddle can use the CPU{there and f' and {there}'}"
    if "device_error" in report:
        return [Finding("Devices", Status.FAIL, found, report["device_error"])]
    if there and device == CPU:
        kind = next(kind for kind, count in devices.items() if count)
        return [Finding("Devices", Status.WARN, found, f"set device: {kind}:0 to use it")]
    return [Finding("Devices", Status.OK, found)]


def _gpus(device: Device, report: Mapping[str, Any]) -> Sequence[Finding]:
    """What CUDA's driver knows of them, whichever library computes."""
    if "gpu_error" in report:
        found = f"{device} cannot be used: {report['gpu_error']}"
        remedy = "check the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES, or set device: cpu"
        return [Finding("GPUs", Status.FAIL, found, remedy)]
    names: dict[str, str] = report.get("gpus", {})
    found = ", ".join(f"{one} is {name}" for one, name in names.items())
    return [Finding("GPUs", Status.OK, found)] if found else []


def _codecs(report: Mapping[str, Any]) -> Finding:
    if "codecs_error" in report:
        return Finding("Codecs", Status.FAIL, "they cannot be loaded", report["codecs_error"])
    return Finding("Codecs", Status.OK, report["codecs"])


def look_at_backends(
    choice: BackendChoice, device: Device, kernels: Kernels = PLAIN_KERNELS
) -> Sequence[Finding]:
    """Look which libraries are installed that compute a network, and whether the chosen one is.

    Args:
        choice: the setting `predictor.backend`.
        device: the setting `device`.
        kernels: the settings `predictor.precision` and `predictor.tensorrt`.

    Returns:
        What was found, and what to install or to set.
    """
    from worker.inference.choice import check_choice  # noqa: PLC0415 - with NumPy

    found = ", ".join(["paddle", *filter(None, map(_installed, _OPTIONAL))])
    try:
        check_choice(choice, device, kernels)
    except (SettingsError, UnfitSystemError, ModelError) as error:
        return [Finding("Backends", Status.FAIL, found, str(error))]
    if installed_backends():
        return [Finding("Backends", Status.OK, found)]
    how = f"the extra hpip adds ones that may be faster; {remedy()}"
    return [Finding("Backends", Status.OK, found, how)]


def look_at_cache(directory: Path) -> Sequence[Finding]:
    """Check that models, conversions and parity results can be cached.

    Returns:
        What was found, with the space that is left.
    """
    there = directory
    while not there.exists() and there != there.parent:
        there = there.parent
    free = shutil.disk_usage(there).free
    found = f"{directory}, {free / 2**30:.1f} GiB free"
    if not (there.is_dir() and os.access(there, os.W_OK)):
        remedy = (
            "it cannot be written: name another directory in CLASSIFY_WORKER_CACHE, or models are "
            "not downloaded and each start checks the model's kernels again"
        )
        return [Finding("Cache", Status.WARN, found, remedy)]
    if free < LITTLE_SPACE:
        remedy = "little room for models: free some, or name another disk in CLASSIFY_WORKER_CACHE"
        return [Finding("Cache", Status.WARN, found, remedy)]
    return [Finding("Cache", Status.OK, found)]


def _installed(module: str) -> str:
    """A package and its version; empty where it is missing."""
    version = package_version(module)
    # With its name where that is another one, such as onnxruntime-gpu.
    return f"{module} {version}" if version and " " not in version else version


def _cpu_facts(path: Path) -> dict[str, str]:
    try:
        first = path.read_text("utf-8", "replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
