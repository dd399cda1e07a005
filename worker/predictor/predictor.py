"""From uint8 crops to class scores with one backend: the work of a predictor process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from worker.errors import ModelError
from worker.model import Activation, ModelSpec
from worker.predictor.activations import ACTIVATIONS
from worker.predictor.backends import Backend, CropBackend, own_sentence
from worker.predictor.normalization import Normalizer
from worker.predictor.parity import probe_crops

__all__ = ["Predictor"]

SUM_TOLERANCE = 1e-2
"""How far from 1 the sum of an image's scores may be for a softmax (float16 rounds)."""

RANGE_TOLERANCE = 1e-3
"""How far outside 0 to 1 a score may be: kernels round."""


class Predictor:
    """A network with its normalisation; used by one thread at a time.

    Crops are normalised here, unless the backend does it on its device.

    Args:
        spec: the model that `backend` has loaded.

    Raises:
        ModelError: the network cannot answer images of the size that `inference.yml` gives, does
            not answer with a score for each class, or has other classes than `inference.yml`.
    """

    def __init__(self, spec: ModelSpec, backend: Backend | CropBackend) -> None:
        self.spec = spec
        self._backend = backend
        # Found once: to look whether an object has a protocol's methods takes a while.
        self._run: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
        if isinstance(backend, CropBackend):
            self._run = backend.run_crops
        else:
            self._run = partial(self._run_normalized, backend)
        self._normalize = Normalizer(spec.normalize)
        self._buffer = np.empty((0, 3, *spec.input_size), np.float32)
        # Invariant: 0 until the network's first answer; all later ones have as many scores.
        self._classes = 0
        # Invariant: decided here, once, and never by an image: equal images get equal answers.
        self._logits = not self._answers_scores()
        if self._logits and self._classes == 1 and spec.rule.activation == "softmax":
            # A softmax of one number is 1, whatever the image.
            raise ModelError(
                f"{spec.program} answers with one number, which is no score from 0 to 1: export it "
                "with a sigmoid, or with one output for each class"
            )
        spec.check_classes(self._classes)

    @property
    def classes(self) -> int:
        """How many classes the network tells apart."""
        return self._classes

    @property
    def activation(self) -> Activation | None:
        """What makes scores of the network's answers; None where they are scores."""
        return self.spec.rule.activation if self._logits else None

    @property
    def backend(self) -> str:
        """What computes, such as `paddle+onednn` or `onnxruntime`."""
        return self._backend.name

    def scores(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Compute scores.

        Args:
            crops: `[N, H, W, 3] uint8`, the channels in the order that the model wants.

        Returns:
            `[N, C] float32`, 0 to 1.

        Raises:
            ValueError: the network answered with another shape, or with numbers that are not finite
                or no scores.
            Exception: whatever the backend raises.
        """
        answer, lowest, highest = self._rows(self._run(crops), len(crops))
        if self._logits:
            return ACTIVATIONS[self.spec.rule.activation](answer)
        if _are_scores(lowest, highest):
            return answer if lowest >= 0 and highest <= 1 else answer.clip(0, 1)
        # If these were logits, the answers for earlier images would have been wrong.
        raise ValueError(
            f"the network answered with {lowest:.4g} to {highest:.4g}, though with scores from 0 "
            "to 1 when it was loaded: export it with a softmax or a sigmoid at its end"
        )

    def _run_normalized(
        self, backend: Backend, crops: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.float32]:
        """Normalise crops, and return what the backend answers."""
        count = len(crops)
        if len(self._buffer) < count:
            self._buffer = np.empty((count, 3, *self.spec.input_size), np.float32)
        tensor = self._buffer[:count]
        self._normalize(crops, tensor)
        return backend.run(tensor)

    def _rows(
        self, answer: npt.NDArray[np.float32], count: int
    ) -> tuple[npt.NDArray[np.float32], float, float]:
        """Check that an answer is a classifier's.

        Returns:
            The answer as `[N, C] float32`, its lowest number and its highest.
        """
        if answer.shape[:1] != (count,):
            raise ValueError(f"the network answered {count} images with shape {answer.shape}")
        if answer.dtype.kind != "f":
            raise ValueError(
                f"the network answers with {answer.dtype}, not with floating-point scores; does it "
                "end in an argmax? Export it without"
            )
        # Trailing dimensions of one, as a pooling leaves them, do not matter.
        if answer.ndim == 1 or not 0 < answer[0].size == answer.shape[1]:
            raise ValueError(
                f"the network answers {count} images with shape {answer.shape}, not with one score "
                "for each class, [N, C]; does it end in an argmax, or in features? Export it with "
                "its classifier's scores"
            )
        scores = answer.reshape(count, -1).astype(np.float32, copy=False)
        if self._classes not in (0, scores.shape[1]):
            raise ValueError(
                f"the network answered with {scores.shape[1]} scores, not {self._classes}"
            )
        lowest, highest = float(scores.min()), float(scores.max())
        # Not a number if any score is none.
        if not math.isfinite(highest - lowest):
            raise ValueError("the network's scores are not finite numbers")
        return scores, lowest, highest

    def _answers_scores(self) -> bool:
        """Whether the network ends in scores rather than logits, by its answers to probe images.

        Logits are outside of 0 to 1 for some of them. Scores that add up to 1 for the first four,
        black and white among them, are a softmax's; a sigmoid's need the others too.
        """
        add_up = True
        for number, pair in enumerate(_probe_pairs(self.spec.input_size)):
            rows, lowest, highest = self._probed(pair)
            if not _are_scores(lowest, highest):
                return False
            add_up &= bool(np.abs(rows.sum(axis=1) - 1).max() < SUM_TOLERANCE)
            if number == 1 and add_up and self._classes > 1:
                break
        return True

    def _probed(self, crops: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], float, float]:
        height, width = self.spec.input_size
        try:
            answer = self._run(crops)
        except Exception as error:
            raise ModelError(
                f"{self.spec.program} cannot answer images of {width} x {height} pixels: "
                f"{own_sentence(error)}"
            ) from error
        try:
            rows, lowest, highest = self._rows(answer, len(crops))
        except ValueError as error:
            raise ModelError(f"{self.spec.program} cannot be used: {error}") from error
        self._classes = rows.shape[1]
        return rows, lowest, highest


def _are_scores(lowest: float, highest: float) -> bool:
    return lowest >= -RANGE_TOLERANCE and highest <= 1 + RANGE_TOLERANCE


def _probe_pairs(input_size: tuple[int, int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Probe images `[2, H, W, 3] uint8`: flat and rough ones, the darkest and the brightest.

    Two at a time: memory for a batch of large images is large, and each size costs kernels.
    """
    height, width = input_size
    pairs = np.empty((4, 2, height, width, 3), np.uint8)
    pairs[0, 0] = 127
    pairs[0, 1] = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    pairs[1, 0], pairs[1, 1] = 0, 255
    pairs[2, 0], pairs[2, 1] = (255, 0, 0), (0, 255, 255)
    pairs[3, 0], pairs[3, 1] = (0, 255, 0), (255, 0, 255)
    yield from pairs
    smooth = probe_crops(input_size)
    yield from (smooth[:2], smooth[2:])
