"""Every setting: its type, default, unit and a sentence; `worker.settings.sources` reads them.

Times are seconds, sizes are bytes, unless a name says otherwise. All models are frozen: settings do
not change while the worker runs.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator

from worker.settings.base import Group, Unit
from worker.settings.images import DecodeSettings, FetchSettings, PictureSettings
from worker.settings.inference import BatchingSettings, PredictorSettings
from worker.settings.kafka import KafkaSettings, SaslSettings, TlsSettings, TopicSettings
from worker.settings.service import (
    HttpSettings,
    IntakeSettings,
    LogSettings,
    PublishSettings,
    ShutdownSettings,
)
from worker.settings.zoo import ZooSettings

__all__ = [
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
    "SaslSettings",
    "Settings",
    "ShutdownSettings",
    "TlsSettings",
    "TopicSettings",
    "Unit",
    "ZooSettings",
]

_DEVICE = re.compile(r"cpu|(gpu|npu|xpu|mlu)(:\d+(,\d+)*)?")


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
    device: str = Field("cpu", description="cpu, gpu:0, gpu:0,1, npu:0, xpu:0 or mlu:0.")
    zoo: ZooSettings = ZooSettings()
    kafka: KafkaSettings = KafkaSettings()
    intake: IntakeSettings = IntakeSettings()
    fetch: FetchSettings = FetchSettings()
    decode: DecodeSettings = DecodeSettings()
    batching: BatchingSettings = BatchingSettings()
    predictor: PredictorSettings = PredictorSettings()
    picture: PictureSettings = PictureSettings()
    publish: PublishSettings = PublishSettings()
    http: HttpSettings = HttpSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    log: LogSettings = LogSettings()

    @property
    def model_source(self) -> str:
        """What names the model: `model_dir` when it is set, else `model`."""
        return str(self.model_dir or self.model)

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        device = value.lower()
        if not _DEVICE.fullmatch(device):
            raise ValueError("not a device; use cpu, gpu:0, gpu:0,1, npu:0, xpu:0 or mlu:0")
        return device
