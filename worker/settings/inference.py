"""Settings of batching and of the predictor processes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from worker.hpip import OnnxBackend
from worker.kernels import Kernels, Precision
from worker.settings.base import Bytes, Group, MiB, Seconds, Wait

__all__ = ["BackendChoice", "BatchingSettings", "PredictorSettings", "ResultCacheSettings"]

BackendChoice = Literal["auto", "paddle", OnnxBackend]


class BatchingSettings(Group):
    """How jobs share a run of the predictor."""

    max_batch: Annotated[int, Field(ge=0, le=1024)] = Field(
        0,
        description="Most images that a predictor is given at once; 0 takes as many as make the "
        "event loop's work small. On CPU a worker computes them in parts, which start-up measures.",
    )
    calibration_limit: Annotated[int, Field(ge=1, le=1024)] = Field(
        32, description="Largest batch that start-up may choose or measure."
    )
    linger: Wait = Field(
        0.0,
        description="Longest wait of the oldest image for a fuller batch while a slot is free.",
    )
    patience: Seconds = Field(
        30.0,
        description="Jobs without a deadline are ordered as if they had this much time; "
        "they never expire.",
    )


class PredictorSettings(Group):
    """The predictor processes."""

    backend: BackendChoice = Field(
        "auto",
        description="Library that computes the network. auto takes the fastest installed one that "
        "answers as plain Paddle does; those besides paddle need the extra hpip, and on GPUs "
        "onnxruntime-gpu.",
    )
    precision: Precision = Field(
        "fp32",
        description="Numbers that the network is computed with. fp16 is for GPUs; bf16 for GPUs, "
        "and with paddle or openvino for processors that have it. Both change scores: "
        "classify-worker evaluate --against-set says by how much.",
    )
    tensorrt: bool = Field(
        False,
        description="Whether TensorRT computes the network: on a GPU, with backend onnxruntime. "
        "The first start builds its engine, for which start_timeout may be too short.",
    )
    slots: Annotated[int, Field(ge=0, le=64)] = Field(
        0,
        description="Predictor processes; 0 is one per listed GPU, or what suits the cores on CPU.",
    )
    threads: Annotated[int, Field(ge=0, le=256)] = Field(
        0,
        description="CPU threads per predictor; 0 shares out the cores, and gives all of them to "
        "an image that comes while all predictors are idle, where that is faster; the first "
        "predictor then holds weights of up to 512 MiB twice.",
    )
    timeout: Seconds = Field(
        60.0,
        description="Time for one batch, after which the predictor is killed and started again.",
    )
    start_timeout: Seconds = Field(
        180.0,
        description="Time for a predictor process to load its model and warm up, and for auto to "
        "measure all backends but paddle.",
    )
    top_k: Annotated[int, Field(ge=0, le=100_000)] = Field(
        0,
        description="Categories per result when the job names no number; "
        "0 is the model's own default.",
    )

    @property
    def kernels(self) -> Kernels:
        """How the network is computed."""
        return Kernels(self.precision, self.tensorrt)


class ResultCacheSettings(Group):
    """Results of earlier jobs, for jobs with the same image and options; off by default."""

    max_entries: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        0,
        description="Most results kept; 0 keeps none. With any, jobs under way that have the same "
        "image are computed once, too.",
    )
    max_bytes: Bytes = Field(
        256 * MiB,
        description="Most memory for results kept, pictures included; beside intake.max_bytes.",
    )
