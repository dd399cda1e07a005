"""What `/admin/model` says of changes, as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

from worker.contract.jobs import ModelIdentity
from worker.contract.model_changes import (
    ChangeOutcome,
    CheckFigures,
    ModelChange,
    ModelState,
    change_fields,
    state_fields,
)

OLD = ModelIdentity("cats", "sha256:01", "paddle")
NEW = ModelIdentity("dogs", "sha256:02", "onnxruntime")
CHANGE = ModelChange(
    "dogs/", "request", ChangeOutcome.CHANGED, "dogs serves", 1_000.5, 2.25, OLD, NEW
)


def test_a_change_tells_both_models_and_what_it_took() -> None:
    assert json.loads(json.dumps(change_fields(CHANGE))) == {
        "outcome": "changed",
        "message": "dogs serves",
        "wanted": "dogs/",
        "cause": "request",
        "model": {"name": "dogs", "digest": "sha256:02", "backend": "onnxruntime"},
        "former": {"name": "cats", "digest": "sha256:01", "backend": "paddle"},
        "beganMs": 1_000_500,
        "seconds": 2.25,
    }


def test_golden_images_are_told_where_they_were_asked() -> None:
    checked = replace(CHANGE, check=CheckFigures(3, 2, 0.9), outcome=ChangeOutcome.CHECK_FAILED)
    assert change_fields(checked)["check"] == {
        "images": 3,
        "right": 2,
        "top1": 0.6667,
        "least": 0.9,
    }


def test_the_state_has_a_place_for_what_there_is_not() -> None:
    quiet = state_fields(ModelState(OLD))
    assert (quiet["change"], quiet["last"]) == (None, None)
    busy = state_fields(ModelState(OLD, "dogs/", "loading dogs", CHANGE))
    assert busy["change"] == {"wanted": "dogs/", "step": "loading dogs"}
    assert busy["last"] == change_fields(CHANGE)


def test_outcomes_with_which_the_wanted_model_serves_are_successes() -> None:
    assert {one.status for one in ChangeOutcome if one.serves} == {200}
    assert all(one.status >= 400 for one in ChangeOutcome if not one.serves)
