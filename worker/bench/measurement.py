"""One measurement, and the document that holds those of a run."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from worker import __version__
from worker.inference.placement import available_cores
from worker.runtime.processor import processor

__all__ = ["Measurement", "document"]

PACKAGES = ("paddlepaddle", "onnxruntime", "openvino", "numpy", "opencv-contrib-python", "aiokafka")

_FIELDS = ("name", "model", "pictures", "images_per_second", "ms_cpu_per_image")


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured once; a flat JSON object in a document.

    Attributes:
        name: what was measured, such as `bare onnxruntime` or `worker base64`.
        model: the network.
        pictures: whether results had pictures.
        images_per_second: None where a rate means nothing, as with latency at a given load.
        ms_cpu_per_image: milliseconds of CPU time of all processes that were measured, per image.
        details: what this kind of measurement says besides, of plain values.
    """

    name: str
    model: str
    pictures: bool = False
    images_per_second: float | None = None
    ms_cpu_per_image: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Write it.

        Returns:
            A flat object, its numbers rounded to what a measurement can tell.
        """
        fields = {name: getattr(self, name) for name in _FIELDS} | dict(self.details)
        return {name: _rounded(value) for name, value in fields.items()}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Measurement:
        """Read what `as_json` wrote.

        Returns:
            The measurement.
        """
        details = {name: value for name, value in written.items() if name not in _FIELDS}
        return cls(**{name: written[name] for name in _FIELDS}, details=details)


def document(measurements: Iterable[Measurement]) -> dict[str, Any]:
    """Write what a run measured, and where.

    Returns:
        An object of `machine` and `measurements`.
    """
    return {"machine": _machine(), "measurements": [each.as_json() for each in measurements]}


def _machine() -> dict[str, Any]:
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "processor": processor().partition("\n")[0].partition(": ")[2] or platform.machine(),
        "cores": available_cores(),
        "load_average": _load_average(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": sys.version.split()[0],
        "classify-worker": __version__,
        **packages,
    }


def _load_average() -> list[float] | None:
    try:
        return [round(load, 1) for load in os.getloadavg()]
    except (AttributeError, OSError):
        # The system does not tell, as Windows.
        return None


def _rounded(value: Any) -> Any:  # noqa: ANN401 - plain values of any kind
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    return value
