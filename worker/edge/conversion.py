"""From ONNX to a device's own format."""

from __future__ import annotations

import importlib.util
import re
import shutil
import tempfile
from pathlib import Path

from worker.edge.formats import FORMATS, FormatName
from worker.errors import ExportError
from worker.predictor.backends import own_sentence
from worker.runtime.child_environment import child_environment
from worker.runtime.telemetry import import_openvino
from worker.runtime.tools import run_tool

__all__ = ["convert"]

TIMEOUT = 600.0
"""Seconds; a network of 100 MB takes about a minute."""


_UNKNOWN = re.compile(r"No conversion rule found for operations: (.+?)(?: -- |$)")
"""What OpenVINO says of operators that it does not have, in a report of many lines."""


def convert(
    name: FormatName,
    onnx: Path,
    input_size: tuple[int, int],
    directory: Path,
    *,
    half: bool,
) -> None:
    """Convert a network, into the files that its format has.

    Args:
        onnx: the network.
        input_size: `(height, width)` in pixels.
        directory: where they go.
        half: whether weights are kept in 16 bits, by formats that can.

    Raises:
        ExportError: the format's converter cannot do it; the message ends with its own.
    """
    match name:
        case "onnx":
            shutil.copyfile(onnx, directory / FORMATS["onnx"].network[0])
        case "openvino":
            _to_openvino(onnx, directory, half=half)
        case "ncnn":
            _to_ncnn(onnx, input_size, directory, half=half)


def _to_openvino(onnx: Path, directory: Path, *, half: bool) -> None:
    openvino = import_openvino()
    try:
        network = openvino.Core().read_model(str(onnx))
        target = directory / FORMATS["openvino"].network[0]
        openvino.save_model(network, str(target), compress_to_fp16=half)
    except Exception as error:
        unknown = _UNKNOWN.search(" ".join(str(error).split()))
        why = own_sentence(error) if unknown is None else f"it does not have {unknown[1]}"
        raise ExportError(
            f"OpenVINO cannot convert this network: {why}; try --format onnx"
        ) from error


def _to_ncnn(onnx: Path, input_size: tuple[int, int], directory: Path, *, half: bool) -> None:
    height, width = input_size
    with tempfile.TemporaryDirectory(prefix="pnnx-") as work:
        source = Path(work) / "model.onnx"
        shutil.copyfile(onnx, source)
        shape = f"inputshape=[1,3,{height},{width}]f32"
        command = [str(_pnnx()), source.name, shape, f"fp16={int(half)}"]
        try:
            ended = run_tool(
                command, environ=child_environment(), timeout=TIMEOUT, directory=Path(work)
            )
        except TimeoutError as error:
            raise ExportError(
                f"pnnx took more than {TIMEOUT:g} s to convert this network"
            ) from error
        made = [source.with_suffix(f".ncnn.{kind}") for kind in ("param", "bin")]
        if ended.status != 0 or not all(each.is_file() for each in made):
            raise ExportError(
                f"pnnx cannot convert this network (exit status {ended.status}): "
                f"{ended.lines[-1]}; try --format onnx"
            )
        _refuse_unknown(made[0])
        for file, target in zip(made, FORMATS["ncnn"].network, strict=True):
            shutil.copyfile(file, directory / target)


def _refuse_unknown(param: Path) -> None:
    """Refuse a network with operators that pnnx has left as they were, such as `Tensor.slice`."""
    lines = param.read_text("utf-8", "replace").splitlines()
    kinds = {line.split()[0] for line in lines[2:] if line.strip()}
    if unknown := sorted(kind for kind in kinds if not kind.isalnum()):
        raise ExportError(
            f"ncnn does not have {', '.join(unknown)}, of which this network consists: try "
            "--format onnx"
        )


def _pnnx() -> Path:
    """The program in pnnx's package, whose Python part needs PyTorch and is not loaded."""
    spec = importlib.util.find_spec("pnnx")
    assert spec is not None, "check_packages() comes first"
    assert spec.origin is not None
    program = Path(spec.origin).with_name("pnnx")
    return program if program.is_file() else program.with_suffix(".exe")
