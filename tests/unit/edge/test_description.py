from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.small_model import SPEC
from worker.edge.description import check_filter, describe
from worker.errors import ExportError
from worker.model import (
    EVERY,
    AllAbove,
    BestAbove,
    CenterCrop,
    Interpolation,
    ModelSpec,
    Normalize,
    Resize,
    Rule,
)


def test_all_that_a_program_must_know_is_there() -> None:
    spec = replace(
        SPEC,
        resize=Resize(256, None, "bicubic", "pil"),
        crop=CenterCrop(224, 200),
        normalize=Normalize(1 / 255, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
        labels=("cat", "dog"),
        channels="BGR",
    )
    assert describe(spec, 2, "softmax") == {
        "name": "a model",
        "digest": "sha256:00",
        "classes": 2,
        "input": {"width": 224, "height": 200, "type": "float32"},
        "layout": "NCHW",
        "channels": "BGR",
        "resize": {"short": 256, "size": None, "filter": "bicubic", "backend": "pil"},
        "crop": {"width": 224, "height": 200},
        "scale": 1 / 255,
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "activation": "softmax",
        "rule": {"kind": "best"},
        "top_k": 1,
        "labels": ["cat", "dog"],
    }


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (BestAbove(0.7, 1), {"kind": "best_above", "threshold": 0.7, "otherwise": 1}),
        (AllAbove(0.5, {1: 0.9}), {"kind": "all_above", "thresholds": [0.5, 0.9, 0.5]}),
    ],
)
def test_a_rule_is_told_for_each_class(rule: Rule, expected: dict[str, object]) -> None:
    told = describe(replace(SPEC, rule=rule, top_k=EVERY), 3, None)
    assert (told["rule"], told["top_k"]) == (expected, 3)


def of(resize: Resize | None) -> ModelSpec:
    return replace(SPEC, resize=resize, directory=Path("my"))


@pytest.mark.parametrize("name", ["bicubic", "area", "lanczos"])
def test_a_filter_that_a_bundle_cannot_compute_is_refused(name: Interpolation) -> None:
    with pytest.raises(ExportError, match=rf"^my/inference.yml: .* OpenCV's filter {name}, which"):
        check_filter(of(Resize(256, None, name, "cv2")))


@pytest.mark.parametrize("name", ["bicubic", "area", "lanczos"])
def test_pillows_filters_are_taken(name: Interpolation) -> None:
    check_filter(of(Resize(256, None, name, "pil")))
    check_filter(of(None))
