"""Backends alone on a device that is no processor: crops that are ready in, scores out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from worker.bench.child import Child
from worker.bench.measurement import Measurement
from worker.device import Device
from worker.errors import ModelError
from worker.inference.choice import candidates, check_choice
from worker.inference.protocol import BackendName
from worker.kernels import Kernels
from worker.settings import PredictorSettings

__all__ = ["BATCHES", "measure"]

BATCHES = (1, 8, 32)


def measure(
    model: Path, name: str, device: Device, predictor: PredictorSettings, seconds: float
) -> Iterator[Measurement]:
    """Measure the backends that the settings may mean, in turn and each in one process.

    Normalisation is included.

    Args:
        name: the model's.
        device: the first of its devices is measured.
        seconds: of each batch.

    Yields:
        The fastest batch of each, with all others in its details; of one of several that cannot
        compute the model, why not.

    Raises:
        ModelError: the only backend cannot compute the model there.
        SettingsError: it does not go with the device.
        UnfitSystemError: it is not installed.
    """
    choice, kernels = predictor.backend, predictor.kernels
    check_choice(choice, device, kernels)
    backends = candidates(device, kernels) if choice == "auto" else (choice,)
    for backend in backends:
        try:
            measured = _measure(model, name, device, backend, kernels, seconds)
        except ModelError as error:
            if len(backends) == 1:
                raise
            measured = Measurement(f"bare {backend}", name, details={"problem": str(error)})
        yield measured


def _measure(
    model: Path, name: str, device: Device, backend: BackendName, kernels: Kernels, seconds: float
) -> Measurement:
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
