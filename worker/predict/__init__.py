"""Classification in this process, for Python and the command line: the worker's core, no Kafka.

Names are loaded when they are first used: `worker.predict.template` needs no codec and no network.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.predict.image_classification import ImageClassificationPipeline, create_pipeline
    from worker.predict.pipeline_config import PipelineConfig
    from worker.predict.results import ClassificationResult, FailedInput

__all__ = [
    "ClassificationResult",
    "FailedInput",
    "ImageClassificationPipeline",
    "PipelineConfig",
    "create_pipeline",
]

_MODULES = {
    "ClassificationResult": "results",
    "FailedInput": "results",
    "ImageClassificationPipeline": "image_classification",
    "PipelineConfig": "pipeline_config",
    "create_pipeline": "image_classification",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
