"""What `worker.doctor.system` runs in a process of its own: loads native libraries, and reports."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

from worker.errors import ModelError, UnfitSystemError

__all__ = ["main"]


def main() -> None:
    """Write a line of JSON about Paddle, its devices and the codecs; argument: the device."""
    report: dict[str, object] = {}
    try:
        _look_at_paddle(sys.argv[1], report)
    except UnfitSystemError as error:
        report["paddle_error"] = str(error)
    _look_at_gpus(sys.argv[1], report)
    try:
        _look_at_codecs(report)
    except UnfitSystemError as error:
        report["codecs_error"] = str(error)
    sys.stdout.write(f"\n{json.dumps(report)}\n")


def _look_at_paddle(text: str, report: dict[str, object]) -> None:
    from worker.device import Device  # noqa: PLC0415
    from worker.predictor.backends.devices import (  # noqa: PLC0415
        check_device,
        import_paddle,
        probe_build,
    )

    device = Device.parse(text)
    paddle = import_paddle(device)
    build = probe_build(paddle)
    report["devices"] = dict(build.devices)
    try:
        check_device(device, build)
    except ModelError as error:
        report["device_error"] = str(error)
    report["paddle"] = f"paddlepaddle {paddle.__version__}"


def _look_at_gpus(text: str, report: dict[str, object]) -> None:
    from worker.device import Device  # noqa: PLC0415
    from worker.predictor.backends.cuda import CudaError, load_driver  # noqa: PLC0415

    device = Device.parse(text)
    if device.kind != "gpu":
        return
    try:
        driver = load_driver()
        report["gpus"] = {str(one): driver.device_name(one.index) for one in device.split()}
    except CudaError as error:
        report["gpu_error"] = str(error)


def _look_at_codecs(report: dict[str, object]) -> None:
    from worker.images.codecs import cv2  # noqa: PLC0415 - with all others

    report["codecs"] = f"OpenCV {cv2.__version__}, Pillow {version('pillow')}"
