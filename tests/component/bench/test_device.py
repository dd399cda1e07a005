"""A backend alone on a device, which a processor stands for here."""

from __future__ import annotations

import pytest

from worker.bench import device
from worker.device import CPU, Device
from worker.errors import SettingsError
from worker.model import ModelSpec
from worker.settings import PredictorSettings


def test_the_named_backend_is_measured_in_all_batches(spec: ModelSpec) -> None:
    settings = PredictorSettings(backend="paddle")
    (measured,) = device.measure(spec.directory, spec.name, CPU, settings, 0.01)
    assert measured.name.startswith("bare paddle")
    rates = measured.details["images_per_second_by_batch"]
    assert set(rates) == {"1", "8", "32"}
    assert measured.images_per_second == max(rates.values())
    assert measured.ms_cpu_per_image is not None
    assert measured.ms_cpu_per_image > 0


def test_a_backend_that_does_not_go_with_the_device_is_refused(spec: ModelSpec) -> None:
    settings = PredictorSettings(backend="openvino")
    with pytest.raises(SettingsError, match="openvino computes on the CPU alone"):
        list(device.measure(spec.directory, spec.name, Device.parse("gpu:0"), settings, 0.01))
