"""From uint8 crops to class scores with one backend: the work of a predictor process."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from worker.cache import cache_directory
from worker.errors import ModelError
from worker.inference.agreement import trusted
from worker.inference.backends import Backend, last_line
from worker.inference.backends.paddle import PaddleBackend, onednn_version
from worker.inference.verdicts import VerdictStore
from worker.model import ModelSpec

__all__ = ["Predictor", "load_predictor"]

SUM_TOLERANCE = 1e-2
"""How far from 1 an image's scores may add up and still be probabilities (float16 rounds)."""


class Predictor:
    """A network with its normalisation; used by one thread at a time.

    Args:
        spec: the model that `backend` has loaded.

    Raises:
        ModelError: the network cannot answer images of the size that `inference.yml` gives.
    """

    def __init__(self, spec: ModelSpec, backend: Backend) -> None:
        self.spec = spec
        self._backend = backend
        mean, std = (
            np.array(values, np.float32) for values in (spec.normalize.mean, spec.normalize.std)
        )
        self._alpha, self._beta = np.float32(spec.normalize.scale) / std, mean / std
        self._buffer = np.empty((0, 3, *spec.input_size), np.float32)
        # Invariant: 0 until the network's first answer; all later ones have as many scores.
        self._classes = 0
        self._needs_softmax = False
        try:
            self._needs_softmax = not self._answers_probabilities()
        except Exception as error:
            height, width = spec.input_size
            raise ModelError(
                f"{spec.program} cannot answer images of {width} x {height} pixels: "
                f"{last_line(error)}"
            ) from error

    @property
    def classes(self) -> int:
        """Number of classes that the network tells apart."""
        return self._classes

    @property
    def backend(self) -> str:
        """What computes: `paddle`, `paddle+onednn`."""
        return self._backend.name

    def scores(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Probabilities `[N, C] float32` for `[N, H, W, 3] uint8` RGB crops.

        Raises:
            ValueError: the network answered with another shape or with numbers that are not finite.
            Exception: whatever the backend raises.
        """
        count = len(crops)
        if len(self._buffer) < count:
            self._buffer = np.empty((count, 3, *self.spec.input_size), np.float32)
        tensor = self._buffer[:count]
        for channel in range(3):
            # The reference's arithmetic, `x * (scale / std) - mean / std` in float32.
            np.multiply(crops[..., channel], self._alpha[channel], out=tensor[:, channel])
            tensor[:, channel] -= self._beta[channel]
        answer = self._backend.run(tensor)
        if answer.shape[:1] != (count,):
            raise ValueError(f"the network answered {count} images with shape {answer.shape}")
        scores = answer.reshape(count, -1).astype(np.float32, copy=False)
        if self._classes not in (0, scores.shape[1]):
            raise ValueError(
                f"the network answered with {scores.shape[1]} scores, not {self._classes}"
            )
        if not np.isfinite(scores).all():
            raise ValueError("the network's scores are not finite numbers")
        return _softmax(scores) if self._needs_softmax else scores

    def _answers_probabilities(self) -> bool:
        """Whether the network ends in a softmax, judged by its answers to grey and to noise."""
        height, width = self.spec.input_size
        probes = np.full((2, height, width, 3), 127, np.uint8)
        probes[1] = np.random.default_rng(0).integers(0, 256, probes[1].shape, np.uint8)
        scores = self.scores(probes)
        self._classes = int(scores.shape[1])
        return bool((scores >= 0).all() and np.abs(scores.sum(axis=1) - 1).max() < SUM_TOLERANCE)


def load_predictor(spec: ModelSpec, device: str, threads: int) -> Predictor:
    """Load a model onto a device, on CPU with oneDNN if that answers this model rightly.

    Raises:
        ModelError: the backend cannot load it, or it is no classifier of the given size.
    """
    if device != "cpu":
        return Predictor(spec, PaddleBackend(spec, device, threads))
    return trusted(
        lambda: Predictor(spec, PaddleBackend(spec, device, threads)),
        lambda: Predictor(spec, PaddleBackend(spec, device, threads, onednn=False)),
        spec.input_size,
        VerdictStore(cache_directory() / "agreement", spec.digest, onednn_version()),
    )


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    powers: npt.NDArray[np.float32] = np.exp(logits - logits.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers
