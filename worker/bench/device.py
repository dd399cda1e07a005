"""A backend alone on a device that is no processor: crops that are ready in, scores out."""

from __future__ import annotations

from pathlib import Path

from worker.bench.child import Child
from worker.bench.measurement import Measurement
from worker.device import Device
from worker.inference.choice import check_choice
from worker.settings import PredictorSettings

__all__ = ["BATCHES", "measure"]

BATCHES = (1, 8, 32)


def measure(
    model: Path, name: str, device: Device, predictor: PredictorSettings, seconds: float
) -> Measurement:
    """Measure the backend that the settings name, in one process, normalisation included.

    Args:
        name: the model's.
        device: the first of its devices is measured.
        seconds: of each batch.

    Returns:
        The fastest batch, with all others in its details.

    Raises:
        ModelError: the backend cannot compute the model there.
        SettingsError: it does not go with the device.
        UnfitSystemError: it is not installed.
    """
    check_choice(predictor.backend, device, predictor.kernels)
    # `auto` measures processors alone.
    backend = "paddle" if predictor.backend == "auto" else predictor.backend
    kernels = predictor.kernels
    first = str(device.split()[0])
    arguments = str(model), backend, first, kernels.precision, str(int(kernels.tensorrt))
    environment = {"OMP_NUM_THREADS": "1"}
    with Child("worker.bench.device_process", *arguments, environment=environment) as child:
        child.answer()
        computes = ""
        rates: dict[int, float] = {}
        cpu: dict[int, float] = {}
        for batch in BATCHES:
            child.ask(batch=batch, seconds=seconds)
            answer = child.answer()
            computes = answer["backend"]
            rates[batch] = answer["images"] / answer["seconds"]
            cpu[batch] = answer["cpu"] / answer["images"] * 1000
    fastest = max(rates, key=rates.__getitem__)
    details = {
        "batch": fastest,
        "layout": "1x1",
        "device": first,
        "images_per_second_by_batch": {str(batch): rate for batch, rate in rates.items()},
    }
    return Measurement(
        f"bare {computes}",
        name,
        images_per_second=rates[fastest],
        ms_cpu_per_image=cpu[fastest],
        details=details,
    )
