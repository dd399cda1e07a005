"""Measurements survive being written and read."""

from __future__ import annotations

import json

import pytest

from worker.bench.measurement import Measurement, document


def test_a_document_holds_measurements_as_flat_objects() -> None:
    one = Measurement("worker raw", "net", True, 123.456, 7.0, {"peak_mb": 700.0, "way": "raw"})
    written = json.loads(json.dumps(document([one])))
    assert written["measurements"] == [
        {
            "name": "worker raw",
            "model": "net",
            "pictures": True,
            "images_per_second": 123.5,
            "ms_cpu_per_image": 7.0,
            "peak_mb": 700.0,
            "way": "raw",
        }
    ]
    assert written["machine"]["cores"] >= 1


def test_a_system_that_does_not_tell_its_load_costs_no_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("os.getloadavg")
    assert document([])["machine"]["load_average"] is None


def test_what_was_written_can_be_read() -> None:
    one = Measurement("bare paddle", "net", details={"ms_cpu_by_kind": {"event loop": 0.5}})
    assert Measurement.from_json(json.loads(json.dumps(one.as_json()))) == one
