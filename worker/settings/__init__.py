"""Every setting: its type, default, unit and a sentence; `worker.settings.sources` reads them.

Times are seconds, sizes are bytes, unless a name says otherwise. All models are frozen: settings do
not change while the worker runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from worker.device import CPU, DEVICE_FORMS, Device
from worker.settings.base import Group, Unit
from worker.settings.delivery import ResultsSettings, TransactionSettings
from worker.settings.images import DecodeSettings, FetchSettings, PictureSettings
from worker.settings.inference import BackendChoice, BatchingSettings, PredictorSettings
from worker.settings.kafka import KafkaSettings, SaslSettings, TlsSettings, TopicSettings
from worker.settings.service import (
    HttpSettings,
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
    "FetchSettings",
    "Group",
    "HttpSettings",
    "IntakeSettings",
    "KafkaSettings",
    "LogSettings",
    "PictureSettings",
    "PredictorSettings",
    "PublishSettings",
    "ResultsSettings",
    "SaslSettings",
    "Settings",
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
    device: Device = Field(CPU, description=f"{DEVICE_FORMS}.")
    delivery: Literal["at_least_once", "exactly_once"] = Field(
        "at_least_once",
        description="Whether a crash may repeat results, or each job's outcome is published once "
        "for read_committed consumers, in one transaction with its offset.",
    )
    zoo: ZooSettings = ZooSettings()
    kafka: KafkaSettings = KafkaSettings()
    intake: IntakeSettings = IntakeSettings()
    fetch: FetchSettings = FetchSettings()
    decode: DecodeSettings = DecodeSettings()
    batching: BatchingSettings = BatchingSettings()
    predictor: PredictorSettings = PredictorSettings()
    picture: PictureSettings = PictureSettings()
    publish: PublishSettings = PublishSettings()
    results: ResultsSettings = ResultsSettings()
    transactions: TransactionSettings = TransactionSettings()
    http: HttpSettings = HttpSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()

    @property
    def model_source(self) -> str:
        """What names the model: `model_dir` when it is set, else `model`."""
        return str(self.model_dir or self.model)
