"""Classification on this machine without Kafka, for Python and the command line.

Names are loaded when they are first used: `worker.predict.template` needs no codec and no network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.runtime.lazy_names import lazy_names

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

__getattr__ = lazy_names(
    __name__,
    {
        "ClassificationResult": "results",
        "FailedInput": "results",
        "ImageClassificationPipeline": "image_classification",
        "PipelineConfig": "pipeline_config",
        "create_pipeline": "image_classification",
    },
)
