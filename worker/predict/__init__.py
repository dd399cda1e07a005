"""Classification in this process, for Python and the command line: the worker's core, no Kafka."""

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
