"""The limit is the fastest backend and the codecs, and what is measured is compared with it."""

from __future__ import annotations

from worker.bench.limit import (
    ON_FREE_CORES,
    fastest_backend,
    limit_of,
    ratio_to_floors,
    ratio_to_limit,
)
from worker.bench.measurement import Measurement

MEASURED = [
    Measurement("bare paddle", "net", images_per_second=100.0, ms_cpu_per_image=8.0),
    Measurement("bare openvino", "net", images_per_second=300.0, ms_cpu_per_image=6.0),
    Measurement("bare openvino", "other", images_per_second=900.0, ms_cpu_per_image=1.0),
    Measurement("codec floor", "net", False, 500.0, 2.0),
    Measurement("codec floor", "net", True, 250.0, 4.0),
]


def test_the_limit_is_the_fastest_backend_with_the_codecs() -> None:
    assert limit_of(MEASURED, "net", pictures=False) == 8.0
    assert limit_of(MEASURED, "net", pictures=True) == 10.0


def test_the_fastest_is_judged_as_on_free_cores() -> None:
    crowded = Measurement("bare onnxruntime", "net", False, 90.0, 4.0, {ON_FREE_CORES: 400.0})
    assert fastest_backend(MEASURED[:2]) == "openvino"
    assert fastest_backend([*MEASURED[:2], crowded]) == "onnxruntime"
    assert limit_of([*MEASURED, crowded], "net", pictures=False) == 6.0
    assert fastest_backend([]) == "paddle"


def test_there_is_no_limit_without_one_of_both() -> None:
    assert limit_of(MEASURED, "other", pictures=False) is None
    assert limit_of(MEASURED[3:], "net", pictures=False) is None


def test_a_worker_is_compared_in_cpu_time_with_the_limit_of_its_kind() -> None:
    worker = Measurement("worker raw", "net", True, 90.0, 12.5)
    assert ratio_to_limit(worker, MEASURED) == 0.8


def test_what_has_no_cpu_time_is_compared_with_nothing() -> None:
    assert ratio_to_limit(Measurement("worker at 25 %", "net"), MEASURED) is None


def test_the_floors_have_the_transport_of_the_same_way_in() -> None:
    worker = Measurement("worker raw", "net", True, 90.0, 12.5)
    assert ratio_to_floors(worker, MEASURED) is None
    floors = [
        Measurement("transport floor base64", "net", True, 900.0, 2.0),
        Measurement("transport floor raw", "net", False, 900.0, 3.0),
        Measurement("transport floor raw", "other", True, 900.0, 4.0),
    ]
    assert ratio_to_floors(worker, [*MEASURED, *floors]) is None
    transport = Measurement("transport floor raw", "net", True, 900.0, 1.25)
    assert ratio_to_floors(worker, [*MEASURED, *floors, transport]) == 0.9
