"""The limit is the fastest backend and the codecs, and what is measured is compared with it."""

from __future__ import annotations

from worker.bench.bare import Layout
from worker.bench.limit import (
    ON_FREE_CORES,
    Contender,
    contender,
    contenders,
    fastest_backend,
    limit_of,
    ratio_to_limit,
    ratio_to_together,
    ratios_to_bare_program,
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


TOGETHER = {"backend": "openvino", "layout": "2x1", "batch": 8}


def test_a_worker_is_compared_with_the_floors_together_of_the_same_way_in() -> None:
    worker = Measurement("worker raw", "net", True, 90.0, 12.5)
    others = [
        Measurement("floors together base64", "net", True, 900.0, 2.0, TOGETHER),
        Measurement("floors together raw", "net", False, 900.0, 3.0, TOGETHER),
        Measurement("floors together raw", "other", True, 900.0, 4.0, TOGETHER),
    ]
    assert ratio_to_together(worker, [*MEASURED, *others]) is None
    together = Measurement("floors together raw", "net", True, 90.0, 11.25, TOGETHER)
    assert ratio_to_together(worker, [*MEASURED, *others, together]) == 0.9
    assert ratio_to_together(together, [together]) is None


def test_what_is_about_as_fast_alone_is_tried_beside_codecs() -> None:
    def bare(backend: str, rate: float, layout: str, batch: int) -> Measurement:
        details = {"layout": layout, "batch": batch}
        return Measurement(f"bare {backend}", "net", False, rate, 6.0, details)

    measured = [
        bare("paddle", 89.0, "2x1", 1),
        bare("onnxruntime", 91.0, "2x1", 8),
        bare("openvino", 100.0, "1x2", 32),
    ]
    assert contenders(measured) == [
        Contender("openvino", Layout(1, 2), 32),
        Contender("onnxruntime", Layout(2, 1), 8),
    ]
    assert [each.backend for each in contenders([])] == ["paddle"]


def test_a_contender_is_known_again_by_its_details() -> None:
    measured = Measurement("floors together raw", "net", details=TOGETHER)
    found = contender(measured)
    assert found == Contender("openvino", Layout(2, 1), 8)
    assert found.details() == TOGETHER


def test_light_load_is_compared_with_the_bare_program_on_both_percentiles() -> None:
    def measured(name: str, p50: float, p99: float, *, pictures: bool = False) -> Measurement:
        details = {"latency_ms": {"p50": p50, "p99": p99}}
        return Measurement(name, "net", pictures, details=details)

    worker = measured("worker at 25 %, record to result", 12.0, 30.0)
    bare = measured("bare program at 25 %, record to result", 8.0, 10.0)
    others = [
        measured("bare program at 25 %", 1.0, 1.0),
        measured("bare program at 25 %, record to result", 1.0, 1.0, pictures=True),
    ]
    assert ratios_to_bare_program(worker, [*others, bare, worker]) == (1.5, 3.0)
    assert ratios_to_bare_program(bare, [*others, bare, worker]) is None
    assert ratios_to_bare_program(worker, [*others, worker]) is None
    instant = measured("bare program at 25 %, record to result", 0.0, 1.0)
    assert ratios_to_bare_program(worker, [instant]) is None
