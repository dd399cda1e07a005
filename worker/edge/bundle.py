"""Writes a bundle's files around its network, and checks the bundle by running it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt

from worker import __version__
from worker.cache import sha256_of
from worker.edge.check_images import CheckImage
from worker.edge.formats import FORMATS, FormatName
from worker.edge.web_runtime import VERSION
from worker.errors import ExportError
from worker.model import ModelSpec
from worker.runtime.child_environment import child_environment
from worker.runtime.tools import run_tool

__all__ = ["check_bundle", "write_bundle", "write_page"]

TEMPLATE = Path(__file__).with_name("template")
CHECK = "check"
WEB = "web"
DESCRIPTION, CHECK_FILE = "model.json", "check.json"

TIMEOUT = 600.0
"""Seconds for checking a bundle."""

DIGITS = 7
"""Behind the point of a score in check.json."""

_SHARED = ("classify.py", "transform.py")


def write_bundle(
    directory: Path,
    name: FormatName,
    spec: ModelSpec,
    description: Mapping[str, Any],
    images: Sequence[CheckImage],
    scores: npt.NDArray[np.float32],
    tolerance: float,
    *,
    page: bool,
) -> None:
    """Write everything but the network, which is there already, and the page.

    Args:
        description: what model.json says.
        scores: `[N, C] float32` of the images.
        tolerance: largest difference of a score.
        page: whether there will be one.
    """
    chosen = FORMATS[name]
    network = {file: f"sha256:{sha256_of(directory / file)}" for file in chosen.network}
    _write_json(directory / DESCRIPTION, {**description, "network": network})
    for file in _SHARED:
        shutil.copyfile(TEMPLATE / file, directory / file)
    shutil.copyfile(TEMPLATE / f"runtime_{name}.py", directory / "runtime.py")
    (directory / CHECK).mkdir()
    for image in images:
        (directory / CHECK / f"{image.name}.png").write_bytes(image.png)
    _write_json(directory / CHECK_FILE, _check(spec, images, scores, tolerance))
    (directory / "LICENSE").write_text(_licence(), "utf-8")
    licences = _copy_licences(spec.directory, directory)
    readme = _readme(name, description, images, licences, tolerance, page=page)
    (directory / "README.md").write_text(readme, "utf-8")


def write_page(directory: Path, runtime: Mapping[str, Path]) -> None:
    """Add the page, whole in itself: its directory can be put on any web server.

    Args:
        directory: the bundle, but for the page.
        runtime: onnxruntime-web's files.
    """
    page = directory / WEB
    shutil.copytree(TEMPLATE / WEB, page)
    for name, file in runtime.items():
        shutil.copyfile(file, page / name)
    shutil.copytree(directory / CHECK, page / CHECK)
    for name in (DESCRIPTION, CHECK_FILE):
        shutil.copyfile(directory / name, page / name)
    for name in FORMATS["onnx"].network:
        try:
            (page / name).hardlink_to(directory / name)
        except OSError:  # the file system has no links
            shutil.copyfile(directory / name, page / name)


def check_bundle(directory: Path, remedy: str) -> str:
    """Run the bundle on its check images, in a process of its own, as another device would.

    Args:
        remedy: what to change if it does not answer as the model does.

    Returns:
        What it said.

    Raises:
        ExportError: it does not answer as the model does.
    """
    try:
        ended = run_tool(
            [sys.executable, "-s", str(directory / "classify.py"), "--check"],
            # Compiled files would be left in the bundle, and the program's own modules not found.
            environ=child_environment(PYTHONDONTWRITEBYTECODE="1", PYTHONSAFEPATH=""),
            timeout=TIMEOUT,
        )
    except TimeoutError as error:
        raise ExportError(f"the bundle's check took more than {TIMEOUT:g} s") from error
    if ended.status != 0:
        raise ExportError(
            f"the bundle does not answer as the model does, and was not kept: {remedy}. It said "
            f"(exit status {ended.status}):\n{ended.said}"
        )
    return ended.said


def _check(
    spec: ModelSpec,
    images: Iterable[CheckImage],
    scores: npt.NDArray[np.float32],
    tolerance: float,
) -> dict[str, Any]:
    known = []
    for image, row in zip(images, scores, strict=True):
        best = int(row.argmax())
        known.append(
            {
                "file": f"{CHECK}/{image.name}.png",
                "alt": image.alt,
                "class_id": best,
                "name": spec.label(best),
                "score": round(float(row[best]), DIGITS),
                "scores": [round(float(score), DIGITS) for score in row],
            }
        )
    return {"tolerance": tolerance, "images": known}


def _readme(
    name: FormatName,
    description: Mapping[str, Any],
    images: Iterable[CheckImage],
    licences: Sequence[str],
    tolerance: float,
    *,
    page: bool,
) -> str:
    chosen = FORMATS[name]
    text = (TEMPLATE / "README.md.in").read_text("utf-8")
    accuracy = description.get("accuracy")
    return Template(text).substitute(
        name=description["name"],
        classes=description["classes"],
        version=__version__,
        runtime=chosen.runtime,
        tolerance=f"{tolerance:g}",
        network=", ".join(f"`{file}`" for file in chosen.network),
        precision=description["precision"],
        digest=description["digest"],
        accuracy="" if accuracy is None else _accuracy(accuracy),
        web=_PAGE if page else "",
        model_licence=f" ({', '.join(f'`{file}`' for file in licences)})" if licences else "",
        credits="\n".join(f"- `{CHECK}/{one.name}.png`: {one.credit}" for one in images),
    )


_PAGE = f"""\
| `web/` | a page that classifies in the browser; in it onnxruntime-web {VERSION} (MIT) |

The page needs a web server of any kind, and computes nothing there:

    python -m http.server --bind 127.0.0.1 --directory web

"""


def _accuracy(accuracy: Mapping[str, Any]) -> str:
    return (
        f"Of {accuracy['held_out_images']} images that were not calibrated with, it classifies "
        f"{accuracy['top1_int8']:.1%} right; the network in float32 "
        f"{accuracy['top1_float32']:.1%}.\n"
    )


def _licence() -> str:
    """The text of this project's licence, which its wheel carries too."""
    text = metadata.distribution("classify-worker").read_text("licenses/LICENSE")
    if text is None:
        raise ExportError("the installation of classify-worker lacks its LICENSE: install it again")
    return text


def _copy_licences(source: Path, directory: Path) -> list[str]:
    """Copy what the model's directory says of its own licence; the names in the bundle."""
    found = sorted(
        each
        for pattern in ("LICENSE*", "LICENCE*", "NOTICE*")
        for each in source.glob(pattern)
        if each.is_file()
    )
    for each in found:
        shutil.copyfile(each, directory / f"MODEL-{each.name}")
    return [f"MODEL-{each.name}" for each in found]


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    path.write_text(text + os.linesep, "utf-8", newline="")
