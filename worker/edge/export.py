"""Makes a bundle: converted, described, checked by running it, and only then put in its place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from worker import __version__
from worker.cache import cache_directory
from worker.device import CPU
from worker.edge.bundle import check_bundle, write_bundle, write_page
from worker.edge.calibration import Accuracy, Calibration, open_calibration
from worker.edge.check_images import COUNT, CheckImage, candidates, choose
from worker.edge.conversion import convert
from worker.edge.description import check_filter, describe
from worker.edge.formats import FORMATS, INT8_TOLERANCE, FormatName, check_packages, versions
from worker.edge.quantization import quantize
from worker.edge.web_runtime import web_runtime
from worker.errors import ExportError
from worker.inference.placement import available_cores
from worker.model import ModelSpec
from worker.predictor.backends import own_sentence
from worker.predictor.backends.conversion import OPSET, to_onnx
from worker.predictor.backends.paddle import PaddleBackend
from worker.predictor.loading import ONNX_BACKENDS, load_predictor
from worker.predictor.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from worker.images.limits import Limits

__all__ = ["Exported", "Order", "export"]


@dataclass(frozen=True, slots=True)
class Order:
    """What bundle is wanted.

    Attributes:
        target: the directory to make.
        calibration: the data set for an int8 network; None for one that is not int8.
        half: whether weights that are not int8 are kept in 16 bits, by formats that can.
        page: whether to add the page, which only ONNX has.
        web_archive: onnxruntime-web as `npm pack` makes it; None has npm fetch it.
    """

    format: FormatName
    target: Path
    calibration: Path | None = None
    half: bool = True
    page: bool = True
    web_archive: Path | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """A bundle that was made.

    Attributes:
        nbytes: of the network's files.
        source_bytes: of the model's.
        checked: what the bundle said of its check images.
        accuracy: of an int8 network; else None.
        skipped: a line for each calibration image that could not be used.
    """

    directory: Path
    nbytes: int
    source_bytes: int
    checked: str
    accuracy: Accuracy | None
    skipped: tuple[str, ...]


def export(
    spec: ModelSpec, order: Order, limits: Limits, on_step: Callable[[str], None] = lambda _: None
) -> Exported:
    """Make a bundle.

    Args:
        limits: what is refused of an image before it is decoded.
        on_step: called with what is done next.

    Returns:
        Where it is, and what is known of it.

    Raises:
        ExportError: it cannot be made as ordered, or does not answer as the model does. Nothing is
            left of it.
        DatasetError: the calibration images are no data set.
        ModelError: the model cannot be loaded or converted.
        UnfitSystemError: a package is missing.
        OSError: the disk is full or cannot be written.
    """
    _check_order(order)
    check_filter(spec)
    check_packages(order.format, int8=order.calibration is not None)
    chosen = FORMATS[order.format]
    page = order.page and order.format == "onnx"
    if page:
        on_step("getting onnxruntime-web")
    runtime = web_runtime(order.web_archive) if page else {}
    threads = available_cores()
    on_step(f"loading {spec.name}")
    # Its own kernels: oneDNN's scores may be further from them than a bundle's are allowed to be.
    predictor = Predictor(spec, PaddleBackend(spec, CPU, threads, onednn=False))
    images = candidates(spec, predictor, limits)
    on_step("converting to ONNX")
    onnx = to_onnx(spec, cache_directory() / "onnx").path
    with _staging(order.target) as directory:
        maker = _Maker(order, predictor, directory, threads, on_step)
        int8 = None
        if order.calibration is None:
            maker.convert(onnx)
            images = choose(images)
            scores, tolerance = np.stack([each.scores for each in images]), chosen.tolerance
        else:
            with open_calibration(
                order.calibration, spec, predictor.classes, limits
            ) as calibration:
                int8 = maker.quantize(onnx, calibration, images)
            images, scores, tolerance = int8.images, int8.scores, INT8_TOLERANCE
        description = {
            **describe(spec, predictor.classes, predictor.activation),
            "format": order.format,
            "precision": _precision(order),
            "opset": OPSET,
            "made_by": {"classify-worker": __version__, **versions(order.format)},
            **({} if int8 is None else {"accuracy": int8.accuracy.plain()}),
        }
        write_bundle(
            directory, order.format, spec, description, images, scores, tolerance, page=page
        )
        on_step("checking the bundle")
        checked = check_bundle(directory, _remedy(order))
        if page:
            write_page(directory, runtime)
        nbytes = sum((directory / file).stat().st_size for file in chosen.network)
    return Exported(
        order.target,
        nbytes,
        spec.program.stat().st_size + spec.params.stat().st_size,
        checked,
        None if int8 is None else int8.accuracy,
        () if int8 is None else int8.skipped,
    )


def _precision(order: Order) -> str:
    if order.calibration is not None:
        return "int8"
    return "float16" if FORMATS[order.format].half and order.half else "float32"


def _remedy(order: Order) -> str:
    """What to change about a bundle that answers otherwise."""
    match _precision(order):
        case "int8":
            return "calibrate with more images, or leave --int8 out"
        case "float16":
            return "keep its weights in 32 bits, with --float32, or try --format onnx"
        case _:
            return "try another --format"


@dataclass(frozen=True, slots=True)
class _Int8:
    """What is known of an int8 network.

    Attributes:
        images: the check images of its bundle.
        scores: `[N, C] float32`, the network's own for them.
    """

    images: list[CheckImage]
    scores: npt.NDArray[np.float32]
    accuracy: Accuracy
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the network's files."""

    order: Order
    predictor: Predictor
    directory: Path
    threads: int
    on_step: Callable[[str], None]

    def convert(self, onnx: Path) -> None:
        name = self.order.format
        if name != "onnx":
            self.on_step(f"converting to {name}")
        size = self.predictor.spec.input_size
        convert(name, onnx, size, self.directory, half=self.order.half)

    def quantize(self, onnx: Path, calibration: Calibration, images: Sequence[CheckImage]) -> _Int8:
        self.on_step("reading the calibration images")
        crops = calibration.crops()
        with tempfile.TemporaryDirectory(prefix="int8-") as work:
            made = Path(work) / "int8.onnx"
            self.on_step(f"finding the ranges of {len(crops)} images")
            quantize(onnx, crops, self.predictor.spec.normalize, made)
            self.convert(made)
        int8 = self._load_int8()
        scores = int8.scores(np.stack([image.crop for image in images]))
        # An image that is doubtful to the model itself says little of a coarser one.
        same = [
            image for image, row in zip(images, scores, strict=True) if image.is_best(row.argmax())
        ]
        if len(same) < COUNT:
            raise ExportError(
                f"int8 answers {len(images) - len(same)} of {len(images)} check images with "
                "another class than the model: calibrate with more images, or leave --int8 out"
            )
        kept = choose(same)
        self.on_step("measuring the accuracy")
        before = load_predictor(self.predictor.spec, CPU, self.threads)
        accuracy = calibration.accuracy(before, int8)
        return _Int8(
            kept,
            int8.scores(np.stack([image.crop for image in kept])),
            accuracy,
            tuple(calibration.skipped),
        )

    def _load_int8(self) -> Predictor:
        backend = FORMATS[self.order.format].backend
        assert backend is not None, "_check_order() comes first"
        network = self.directory / FORMATS[self.order.format].network[0]
        try:
            loaded = ONNX_BACKENDS[backend](network, self.threads, solo=True)
        except Exception as error:
            raise ExportError(
                f"{backend} cannot load the int8 network: {own_sentence(error)}"
            ) from error
        return Predictor(self.predictor.spec, loaded)


def _check_order(order: Order) -> None:
    target = order.target
    if order.calibration is not None and FORMATS[order.format].backend is None:
        raise ExportError(
            f"int8 is made by ONNX Runtime, which does not write {order.format}: use --format onnx "
            "or openvino, or leave --int8 out"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ExportError(f"{target} is there already: name a directory that is not, or is empty")


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A directory that takes the place of `target` when the block has ended well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        made = work / "bundle"
        made.mkdir()
        yield made
        if target.exists():
            target.rmdir()  # empty, or it would have been refused
        made.rename(target)
    finally:
        shutil.rmtree(work)
