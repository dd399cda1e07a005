"""What all measurements of a run share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BACKENDS", "Bench", "Contest"]

BACKENDS = ("paddle", "auto")
"""The values of `predictor.backend` that the worker is measured with."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A run.

    Attributes:
        model: the directory of the model that speed is measured with, and its pipeline file.
        name: the model's, in reports.
        labelled: the same of a model with trained weights, whose answers are compared.
        images: files of equal size that are the load.
        photographs: files whose best classes are compared, by name.
        pythons: the interpreter of each peer's environment.
        directory: for logs and everything else; removed afterwards.
    """

    model: Path
    pipeline: Path
    name: str
    labelled: Path
    labelled_pipeline: Path
    images: Sequence[Path]
    photographs: Mapping[str, Path]
    pythons: Mapping[str, Path]
    directory: Path


@dataclass(frozen=True, slots=True)
class Contest:
    """How much is measured.

    Attributes:
        rounds: times that all is measured in turn.
        seconds: of a measurement over HTTP or in Python.
        jobs: of a measurement through Kafka.
    """

    rounds: int
    seconds: float
    jobs: int
