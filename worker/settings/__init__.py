"""Every setting: its type, default, unit and a sentence; `worker.settings.sources` reads them.

Times are seconds, sizes are bytes, unless a name says otherwise. All models are frozen: settings do
not change while the worker runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from worker.device import CPU, DEVICE_FORMS, Device
from worker.settings.base import Group, Unit
from worker.settings.comparison import DriftSettings, ShadowSettings
from worker.settings.delivery import ResultsSettings, TransactionSettings
from worker.settings.images import DecodeSettings, FetchSettings, PictureSettings
from worker.settings.inference import (
    BackendChoice,
    BatchingSettings,
    PredictorSettings,
    ResultCacheSettings,
)
from worker.settings.kafka import KafkaSettings, SaslSettings, TlsSettings, TopicSettings
from worker.settings.retry import DuplicateSettings, RetrySettings
from worker.settings.service import (
    HttpSettings,
    HttpTlsSettings,
    IntakeSettings,
    LogSettings,
    PublishSettings,
    ShutdownSettings,
)
from worker.settings.tracing import TracingSettings
from worker.settings.zoo import ZooSettings

__all__ = [
    "BackendChoice",
    "BatchingSettings",
    "DecodeSettings",
    "DriftSettings",
    "DuplicateSettings",
    "FetchSettings",
    "Group",
    "HttpSettings",
    "HttpTlsSettings",
    "IntakeSettings",
    "KafkaSettings",
    "LogSettings",
    "PictureSettings",
    "PredictorSettings",
    "PublishSettings",
    "ResultCacheSettings",
    "ResultsSettings",
    "RetrySettings",
    "SaslSettings",
    "Settings",
    "ShadowSettings",
    "ShutdownSettings",
    "TlsSettings",
    "TopicSettings",
    "TracingSettings",
    "TransactionSettings",
    "Unit",
    "ZooSettings",
]


class Settings(Group):
    """The settings of one worker.

    `Settings()` is all defaults; `worker.settings.sources.load` reads files and the environment.
    """

    model: str = Field(
        "PP-LCNet_x1_0",
        min_length=1,
        description="Name of a model in the cache or the zoo, or the directory of an inference "
        "model.",
    )
    model_dir: Path | None = Field(
        None,
        description="Directory of your own inference model; takes the place of model.",
    )
    model_cache: Path | None = Field(
        None, description="Directory that holds models by name; the user's cache when unset."
    )
    model_check: Path | None = Field(
        None,
        description="Data set of golden images that a model must answer before it takes another "
        "one's place while the worker runs; see docs/model-change.md.",
    )
    model_check_top1: float = Field(
        0.9,
        ge=0,
        le=1,
        description="Least share of the golden images whose best class must be the right one.",
    )
    model_watch: bool = Field(
        False,
        description="Whether a new model in the directory that model or model_dir names, or behind "
        "a link there, is changed to as soon as it is whole.",
    )
    device: Device = Field(CPU, description=f"{DEVICE_FORMS}.")
    delivery: Literal["at_least_once", "exactly_once"] = Field(
        "at_least_once",
        description="Whether a crash may repeat results, or each job's outcome is published once "
        "for read_committed consumers, in one transaction with its offset.",
    )
    zoo: ZooSettings = ZooSettings()
    kafka: KafkaSettings = KafkaSettings()
    intake: IntakeSettings = IntakeSettings()
    retry: RetrySettings = RetrySettings()
    duplicates: DuplicateSettings = DuplicateSettings()
    fetch: FetchSettings = FetchSettings()
    decode: DecodeSettings = DecodeSettings()
    batching: BatchingSettings = BatchingSettings()
    predictor: PredictorSettings = PredictorSettings()
    picture: PictureSettings = PictureSettings()
    result_cache: ResultCacheSettings = ResultCacheSettings()
    drift: DriftSettings = DriftSettings()
    shadow: ShadowSettings = ShadowSettings()
    publish: PublishSettings = PublishSettings()
    results: ResultsSettings = ResultsSettings()
    transactions: TransactionSettings = TransactionSettings()
    http: HttpSettings = HttpSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()

    @property
    def retry_topics(self) -> dict[str, float]:
        """The delay in seconds by retry topic, the shortest first."""
        return self.retry.topics(self.kafka.jobs_topic)

    @model_validator(mode="after")
    def _distinct_topics(self) -> Self:
        kafka = self.kafka
        others = {kafka.jobs_topic, kafka.results_topic, kafka.dead_letters_topic}
        if taken := sorted(others & self.retry_topics.keys()):
            raise ValueError(
                f"retry.topic: the retry topic {taken[0]} is already one of kafka's; choose "
                "another name"
            )
        return self

    @model_validator(mode="after")
    def _no_aborted_retries(self) -> Self:
        exactly = self.delivery == "exactly_once" and self.retry.delays
        if exactly and self.kafka.isolation_level != "read_committed":
            raise ValueError(
                "kafka.isolation_level: with delivery: exactly_once and retry.delays it must be "
                "read_committed; otherwise retries of aborted transactions are answered as well"
            )
        return self

    @property
    def model_source(self) -> str:
        """What names the model: `model_dir` when it is set, else `model`."""
        return str(self.model_dir or self.model)
