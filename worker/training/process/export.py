"""Writes the trained model in the inference format, and compares it with what was trained.

In a process of its own, so that the names in its files are the same however the training went:
those that Paddle makes up count all that was made before in the process.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from worker.device import CPU, Device
from worker.errors import TrainingError
from worker.model import ModelSpec, load_model_spec
from worker.predictor.backends.devices import import_paddle
from worker.predictor.backends.paddle import PaddleBackend
from worker.predictor.loading import load_predictor
from worker.predictor.predictor import Predictor
from worker.training.checkpoint import load_array
from worker.training.names import PROBE
from worker.training.process.serving import Owner, Request, serve
from worker.training.process.state import State

__all__ = ["TOLERANCE", "answer", "main"]

TOLERANCE = 1e-5
"""Largest difference between a score of the trainer and of the model that was written."""


def main() -> None:
    """Answer `{do: write}` with `{}`, and `{do: check}` with how much scores differ."""
    serve(answer)


def answer(request: Request, _: Owner) -> dict[str, object]:
    """Write the best model, or check the one that was written.

    Returns:
        Of a check the largest difference of a score: with Paddle's own kernels (`plain`), which
        compute as the trainer does, and with what a worker serves it with (`served`).

    Raises:
        TrainingError: the model answers otherwise than what was trained.
    """
    directory, state = Path(request["to"]), State.load(Path(request["directory"]))
    if request["do"] == "write":
        import_paddle(CPU).set_device("cpu")
        from worker.training.process.network import Network  # noqa: PLC0415 - as in `train`

        network = Network(Path(request["backbone"]), request["features"], request["classes"])
        network.restore(state.best_weights)
        network.save(directory / "inference", (request["height"], request["width"]))
        return {"is": "written"}
    crops = load_array(Path(request["directory"]) / PROBE)
    wanted = state.best_weights["scores"]
    spec = load_model_spec(directory)
    device, threads = Device.parse(request["device"]), request["threads"]
    plain = _deviation(_load_plain(spec, device, threads), crops, wanted)
    if not plain <= TOLERANCE:
        raise TrainingError(
            f"the model that was written answers otherwise than the one that was trained: a score "
            f"differs by {plain:.2g}, and at most {TOLERANCE:g} is rounding. It was not made "
            "best_model; please report this model's architecture"
        )
    served = load_predictor(spec, device, threads)
    deviation = _deviation(served, crops, wanted)
    return {"is": "checked", "plain": plain, "served": deviation, "backend": served.backend}


def _load_plain(spec: ModelSpec, device: Device, threads: int) -> Predictor:
    return Predictor(spec, PaddleBackend(spec, device, threads, onednn=False))


def _deviation(predictor: Predictor, crops: object, wanted: object) -> float:
    scores = predictor.scores(np.asarray(crops, np.uint8))
    return float(np.abs(scores - np.asarray(wanted)).max())
