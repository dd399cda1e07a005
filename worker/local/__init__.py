"""Classification in this process, for Python and the command line: the worker's core, no Kafka."""

from worker.local.config import PipelineConfig
from worker.local.pipeline import ImageClassificationPipeline, create_pipeline
from worker.local.results import ClassificationResult, FailedInput

__all__ = [
    "ClassificationResult",
    "FailedInput",
    "ImageClassificationPipeline",
    "PipelineConfig",
    "create_pipeline",
]
