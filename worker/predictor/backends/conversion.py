"""Converts a model from Paddle's inference format to ONNX, once, for the backends that read ONNX.

It is done in a process of its own, with the arguments PROGRAM PARAMS TARGET: the converter writes
to standard output, and a native crash must cost no more than that process.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

from worker.cache import exclusive, write_whole
from worker.errors import ModelError
from worker.hpip import CONVERTER, package_version
from worker.model import ModelSpec
from worker.runtime.child_environment import child_environment
from worker.runtime.children import module_command

__all__ = ["to_onnx"]

OPSET = 14
"""The ONNX operator set: the first one that has all operators of the models of the zoo."""

TIMEOUT = 300.0
"""Seconds; a model of 100 MB takes about ten."""


def to_onnx(spec: ModelSpec, directory: Path, *, anew: bool = False) -> Path:
    """Convert a model, on the first call.

    Args:
        anew: convert it on this call too, in place of a file that is damaged.

    Returns:
        The ONNX file in `directory`.

    Raises:
        ModelError: it cannot be converted; the message ends with the converter's own.
        OSError: the directory cannot be written.
    """
    digest = spec.digest.removeprefix("sha256:")
    target = directory / f"{digest}-{package_version(CONVERTER)}-{OPSET}.onnx"
    # Without the lock, which a directory that cannot be written does not give.
    if target.is_file() and not anew:
        return target
    directory.mkdir(parents=True, exist_ok=True)
    with exclusive(target.with_suffix(".lock")):
        if anew or not target.is_file():
            _convert(spec, target)
    return target


def _convert(spec: ModelSpec, target: Path) -> None:
    command = module_command(__name__, str(spec.program), str(spec.params), str(target))
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, with paths
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=child_environment(GLOG_minloglevel="2"),
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{spec.program} took more than {TIMEOUT:g} s to convert") from error
    if not target.is_file():
        lines = done.stdout.decode(errors="replace").strip().splitlines()
        raise ModelError(
            f"{spec.program} cannot be converted to ONNX (exit status {done.returncode}): "
            f"{lines[-1] if lines else 'no message'}"
        )


def main() -> None:
    """Convert what the command line names."""
    program, params, target = sys.argv[1:]
    converter = importlib.import_module(CONVERTER)
    # "polygraphy", the default, installs packages from the network while it runs. The backends
    # fold constants themselves.
    model: bytes = converter.export(
        program, params, None, opset_version=OPSET, optimize_tool="none"
    )
    write_whole(Path(target), model)
