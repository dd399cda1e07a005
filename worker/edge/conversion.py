"""From ONNX to a device's own format."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from worker.edge.formats import FORMATS, FormatName
from worker.errors import ExportError
from worker.predictor.backends import own_sentence
from worker.runtime.child_environment import child_environment

__all__ = ["convert"]

TIMEOUT = 600.0
"""Seconds; a network of 100 MB takes about a minute."""


def convert(name: FormatName, onnx: Path, input_size: tuple[int, int], directory: Path) -> None:
    """Convert a network, into the files that its format has.

    Args:
        onnx: the network.
        input_size: `(height, width)` in pixels.
        directory: where they go.

    Raises:
        ExportError: the format's converter cannot do it; the message ends with its own.
    """
    _CONVERTERS[name](onnx, input_size, directory)


def _copy(onnx: Path, _input_size: tuple[int, int], directory: Path) -> None:
    shutil.copyfile(onnx, directory / FORMATS["onnx"].network[0])


def _to_openvino(onnx: Path, _input_size: tuple[int, int], directory: Path) -> None:
    openvino = importlib.import_module("openvino")
    try:
        # Not `convert_model`, which reports its use over the network.
        network = openvino.Core().read_model(str(onnx))
        target = directory / FORMATS["openvino"].network[0]
        openvino.save_model(network, str(target), compress_to_fp16=True)
    except Exception as error:
        raise ExportError(
            f"OpenVINO cannot convert this network: {own_sentence(error)}; try --format onnx"
        ) from error


def _to_ncnn(onnx: Path, input_size: tuple[int, int], directory: Path) -> None:
    height, width = input_size
    with tempfile.TemporaryDirectory(prefix="pnnx-") as work:
        source = Path(work) / "model.onnx"
        shutil.copyfile(onnx, source)
        command = [str(_pnnx()), source.name, f"inputshape=[1,3,{height},{width}]f32", "fp16=1"]
        try:
            done = subprocess.run(  # noqa: S603 - the package's own program, with names of ours
                command,
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=child_environment(),
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ExportError(
                f"pnnx took more than {TIMEOUT:g} s to convert this network"
            ) from error
        made = [source.with_suffix(f".ncnn.{kind}") for kind in ("param", "bin")]
        if done.returncode != 0 or not all(each.is_file() for each in made):
            lines = done.stdout.decode(errors="replace").strip().splitlines()
            raise ExportError(
                f"pnnx cannot convert this network (exit status {done.returncode}): "
                f"{lines[-1] if lines else 'no message'}; try --format onnx"
            )
        for file, target in zip(made, FORMATS["ncnn"].network, strict=True):
            shutil.copyfile(file, directory / target)


def _pnnx() -> Path:
    """The program in pnnx's package, whose Python part needs PyTorch and is not loaded."""
    spec = importlib.util.find_spec("pnnx")
    assert spec is not None, "check_packages() comes first"
    assert spec.origin is not None
    program = Path(spec.origin).with_name("pnnx")
    return program if program.is_file() else program.with_suffix(".exe")


_CONVERTERS: Mapping[FormatName, Callable[[Path, tuple[int, int], Path], None]] = {
    "onnx": _copy,
    "openvino": _to_openvino,
    "ncnn": _to_ncnn,
}
