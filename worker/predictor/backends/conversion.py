"""Converts a model from Paddle's inference format to ONNX, once, for the backends that read ONNX.

Beside each ONNX file is its SHA-256, as `sha256sum` writes it. A file that is not what the
converter wrote (cut off, damaged, another one) is never loaded: the model is converted again.

It is done in a process of its own, with the arguments OWNER PROGRAM PARAMS TARGET and, where the
network is changed too, CHANGES: the converter writes to standard output, and a native crash must
cost no more than that process.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from worker.cache import exclusive, sha256_of, write_whole
from worker.errors import ModelError
from worker.hpip import CONVERTER, package_version
from worker.model import ModelSpec, Normalize
from worker.predictor.backends.onnx_graph import PLAIN_FORM, Form, change
from worker.runtime.child_environment import child_environment
from worker.runtime.children import die_with, module_command
from worker.runtime.tools import run_tool

__all__ = ["Converted", "to_onnx"]

OPSET = 14
"""The ONNX operator set: the first one that has all operators of the models of the zoo."""

TIMEOUT = 300.0
"""Seconds; a model of 100 MB takes about ten."""


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Converted:
    """A network as ONNX.

    Attributes:
        path: the file.
        digest: its SHA-256, 64 hexadecimal digits. A parity result holds for this file alone.
    """

    path: Path
    digest: str


def to_onnx(spec: ModelSpec, directory: Path, form: Form = PLAIN_FORM) -> Converted:
    """Convert a model, on the first call and when its file in `directory` is not what it was.

    Args:
        form: what is changed in the network besides.

    Returns:
        The ONNX file in `directory`.

    Raises:
        ModelError: it cannot be converted; the message ends with the converter's own.
        OSError: the directory cannot be written.
    """
    digest = spec.digest.removeprefix("sha256:")
    target = directory / f"{digest}-{package_version(CONVERTER)}-{OPSET}{form.suffix}.onnx"
    # Without the lock, which a directory that cannot be written does not give.
    if known := _unchanged(target):
        return known
    directory.mkdir(parents=True, exist_ok=True)
    with exclusive(target.with_suffix(".lock")):
        if known := _unchanged(target):
            return known
        if target.exists():
            log.warning("%s is not as it was converted: %s is converted anew", target, spec.name)
            target.unlink()
        _convert(spec, target, form)
        digest = sha256_of(target)
        write_whole(_digest_file(target), f"{digest}  {target.name}\n".encode("ascii"))
        return Converted(target, digest)


def _unchanged(target: Path) -> Converted | None:
    """A file that is as the converter wrote it, or None."""
    with suppress(OSError, ValueError):
        written = _digest_file(target).read_text("ascii").split(" ")[0]
        if sha256_of(target) == written:
            return Converted(target, written)
    return None


def _digest_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _convert(spec: ModelSpec, target: Path, form: Form) -> None:
    arguments = map(str, (os.getpid(), spec.program, spec.params, target))
    command = module_command(__name__, *arguments, *_changes(spec, form))
    try:
        environ = child_environment(GLOG_minloglevel="2")
        ended = run_tool(command, environ=environ, timeout=TIMEOUT)
    except TimeoutError as error:
        raise ModelError(f"{spec.program} took more than {TIMEOUT:g} s to convert") from error
    if not target.is_file():
        raise ModelError(
            f"{spec.program} cannot be converted to ONNX (exit status {ended.status}): "
            f"{ended.lines[-1]}"
        )


def _changes(spec: ModelSpec, form: Form) -> list[str]:
    """Say on a command line what is changed in the network, and what it needs to know for that."""
    if form == PLAIN_FORM:
        return []
    told = {
        "form": asdict(form),
        "normalize": asdict(spec.normalize),
        "input_size": spec.input_size,
    }
    return [json.dumps(told)]


def _changed(model: bytes, changes: str) -> bytes:
    told = json.loads(changes)
    height, width = told["input_size"]
    return change(model, Form(**told["form"]), Normalize(**told["normalize"]), (height, width))


def main() -> None:
    """Convert what the command line names."""
    owner, program, params, target, *changes = sys.argv[1:]
    die_with(int(owner))
    converter = importlib.import_module(CONVERTER)
    # "polygraphy", the default, installs packages from the network while it runs. The backends
    # fold constants themselves.
    model: bytes = converter.export(
        program, params, None, opset_version=OPSET, optimize_tool="none"
    )
    for each in changes:
        model = _changed(model, each)
    write_whole(Path(target), model)
