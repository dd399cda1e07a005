"""A baseline is compared with answers of its own model, while that is the one in use."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.support.small_model import SPEC
from worker.drift.baseline import Baseline, write_baseline
from worker.drift.counting import BaselineCounts
from worker.drift.watch import LARGE_CHANCE, DriftWatch
from worker.drift.window import DriftWindow
from worker.errors import SettingsError
from worker.metrics import MOST_MODELS, Metrics
from worker.metrics.answers import Answers
from worker.settings import DriftSettings

SCORES = np.array([0.75, 0.25], np.float32)
OTHER = replace(SPEC, digest="sha256:other")


def said(logs: Sequence[MutableMapping[str, Any]], event: str) -> MutableMapping[str, Any]:
    """The one line of the log with this event."""
    (line,) = (line for line in logs if line["event"] == event)
    return line


def baseline(digest: str = SPEC.digest, images: int = 1000) -> Baseline:
    counts = BaselineCounts()
    for number in range(images):
        counts.count(SCORES, "cat" if number % 2 else "dog")
    return counts.baseline("model", digest, "sha256:data")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "baseline.json"
    write_baseline(path, baseline())
    return path


def values(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.collect()
        if family.name == name
        for sample in family.samples
    }


INDEX, WINDOW = "classify_drift_stability_index", "classify_drift_window_images"
FITS = "classify_drift_baseline_fits"


def test_answers_are_compared_once_there_are_enough(path: Path) -> None:
    metrics = Metrics()
    watch = DriftWatch(DriftSettings(baseline=path, window=100), metrics)
    answers = Answers(metrics, SPEC, watch.watch(SPEC))
    answered = answers.answered(SCORES, "cat")
    answered.count()
    for _ in range(98):
        answers.answered(SCORES, "cat").count()
    assert values(metrics, WINDOW) == {(SPEC.digest,): 99}
    assert values(metrics, FITS) == {(SPEC.digest,): 1}
    assert values(metrics, INDEX) == {}
    # An answer from the result cache is an answer.
    answered.count()
    indices = values(metrics, INDEX)
    assert indices.keys() == {(SPEC.digest, kind) for kind in ("classes", "scores", "entropies")}
    assert indices[SPEC.digest, "classes"] > 0.25
    assert indices[SPEC.digest, "scores"] == pytest.approx(0, abs=0.01)


def test_without_a_baseline_there_is_nothing() -> None:
    metrics = Metrics()
    watch = DriftWatch(DriftSettings(), metrics)
    watch.read_again()
    assert watch.watch(SPEC) is None
    assert not values(metrics, WINDOW) | values(metrics, FITS) | values(metrics, INDEX)


def test_a_baseline_of_another_model_is_named_and_compared_with_nothing(path: Path) -> None:
    metrics = Metrics()
    watch = DriftWatch(DriftSettings(baseline=path), metrics)
    with capture_logs() as logs:
        assert watch.watch(OTHER) is None
    assert values(metrics, FITS) == {(OTHER.digest,): 0}
    line = said(logs, "drift_baseline_of_another_model")
    assert (line["baseline_digest"], line["digest"]) == (SPEC.digest, OTHER.digest)
    assert line["remedy"].startswith("classify-worker evaluate --model")


def test_after_a_change_the_window_begins_anew_with_the_baseline_that_is_there_then(
    path: Path,
) -> None:
    metrics = Metrics()
    watch = DriftWatch(DriftSettings(baseline=path, window=100), metrics)
    answers = Answers(metrics, SPEC, watch.watch(SPEC))
    kept = answers.answered(SCORES, "cat")
    kept.count()
    write_baseline(path, baseline(OTHER.digest))
    watch.read_again()
    answers = Answers(metrics, OTHER, watch.watch(OTHER))
    assert values(metrics, FITS) == {(OTHER.digest,): 1}
    assert values(metrics, WINDOW) == {(OTHER.digest,): 0}
    answers.answered(SCORES, "cat").count()
    kept.count()
    assert values(metrics, WINDOW) == {(OTHER.digest,): 1}, "that was the other model's answer"
    write_baseline(path, baseline())
    watch.read_again()
    watch.watch(SPEC)
    kept.count()
    assert values(metrics, WINDOW) == {(SPEC.digest,): 1}, "that is this model's again"


def test_a_file_that_is_damaged_when_it_is_read_again_changes_nothing(path: Path) -> None:
    watch = DriftWatch(DriftSettings(baseline=path), Metrics())
    path.write_text("half of", "utf-8")
    with capture_logs() as logs:
        watch.read_again()
    assert "is not JSON" in said(logs, "drift_baseline_unreadable")["error"]
    assert watch.watch(SPEC) is not None


def test_a_damaged_file_is_refused_at_the_start(path: Path) -> None:
    path.write_text("half of", "utf-8")
    with pytest.raises(SettingsError, match="is not JSON"):
        DriftWatch(DriftSettings(baseline=path), Metrics())


def test_a_baseline_too_small_to_tell_anything_is_said_to_be(path: Path) -> None:
    write_baseline(path, baseline(images=40))
    with capture_logs() as logs:
        DriftWatch(DriftSettings(baseline=path), Metrics()).watch(SPEC)
    assert {line["kind"] for line in logs} == {"scores", "entropies"}
    assert {line["event"] for line in logs} == {"drift_baseline_small"}
    assert {line["remedy"] for line in logs} == {"evaluate 99 images or more for the baseline"}


@pytest.mark.parametrize(
    ("images", "window", "remedy"),
    [
        (40, 1000, "evaluate 99 images or more for the baseline"),
        (40, 1_000_000, "evaluate 91 images or more for the baseline"),
        (113, 80, "raise drift.window to 443 or more"),
        (40, 80, "evaluate 182 images or more, and raise drift.window to as many"),
    ],
)
def test_what_is_said_to_help_a_small_baseline_does(images: int, window: int, remedy: str) -> None:
    assert DriftWindow(baseline(images=images), window).remedy("scores", LARGE_CHANCE) == remedy
    numbers = [int(word) for word in remedy.split() if word.isdigit()]
    if "evaluate" in remedy:
        images = numbers[0]
    if "window" in remedy:
        window = numbers[0]
    assert DriftWindow(baseline(images=images), window).chances()["scores"] <= LARGE_CHANCE


def test_only_the_last_models_have_series() -> None:
    metrics = Metrics()
    digests = [f"sha256:{number}" for number in range(MOST_MODELS + 2)]
    for digest in digests:
        Answers(metrics, replace(SPEC, digest=digest)).answered(SCORES, "cat").count()
    for name in ("predictions", "best_score_ratio", "score_entropy_ratio"):
        found = {labels[0] for labels in values(metrics, f"classify_{name}")}
        assert found == set(digests[2:]), name
    # One that comes back is the last again.
    Answers(metrics, replace(SPEC, digest=digests[2]))
    Answers(metrics, replace(SPEC, digest="sha256:new"))
    assert {labels[0] for labels in values(metrics, "classify_predictions")} == {
        *digests[4:],
        digests[2],
        "sha256:new",
    }
