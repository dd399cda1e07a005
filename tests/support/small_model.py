"""A model's description, for tests that load none."""

from __future__ import annotations

from pathlib import Path

from worker.model import ModelSpec, Normalize, Resize

__all__ = ["SPEC"]

SPEC = ModelSpec(
    name="a model",
    directory=Path("model"),
    program=Path("model/inference.json"),
    params=Path("model/inference.pdiparams"),
    resize=Resize(None, (8, 8)),
    crop=None,
    normalize=Normalize(1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    labels=(),
    top_k=1,
    digest="sha256:00",
)
