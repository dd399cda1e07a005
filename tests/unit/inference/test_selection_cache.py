"""What is remembered of measured backends, and whether it can be trusted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from worker.device import CPU
from worker.inference.placement import Placement
from worker.inference.protocol import BackendName
from worker.inference.selection_cache import MEASUREMENTS, SelectionCache, SelectionRecord
from worker.inference.trials import Trial
from worker.kernels import PLAIN_KERNELS, Kernels

PADDLE = Trial("paddle", 236.0)
CRASHED = Trial("openvino", 0.0, "it crashed", passing=True)
UNSUPPORTED = Trial("openvino", 0.0, "it answers otherwise")
RECORD = SelectionRecord((PADDLE, Trial("openvino", 99.5, taken=0.25)), 2)


def cache(
    directory: Path,
    digest: str = "sha256:1",
    slots: int = 2,
    cores: int = 2,
    max_batch: int = 0,
    kernels: Kernels = PLAIN_KERNELS,
    gpus: str = "",
) -> SelectionCache:
    placements = [Placement(CPU, 1)] * slots
    backends: tuple[BackendName, ...] = ("paddle", "openvino")
    return SelectionCache(directory, digest, placements, cores, max_batch, backends, kernels, gpus)


def disturbed(taken: float, rate: float = 100.0) -> tuple[Trial, ...]:
    return (Trial("paddle", rate, taken=taken), Trial("openvino", rate / 2))


def test_trials_are_kept_for_their_model_and_layout_alone(tmp_path: Path) -> None:
    cache(tmp_path / "new").write(RECORD)
    assert cache(tmp_path / "new").read() == RECORD
    for other in (
        cache(tmp_path / "new", digest="sha256:2"),
        cache(tmp_path / "new", slots=1),
        cache(tmp_path / "new", cores=4),
        cache(tmp_path / "new", max_batch=16),
        cache(tmp_path / "new", kernels=Kernels("bf16")),
        cache(tmp_path / "new", gpus="NVIDIA L4"),
    ):
        assert other.read() is None


def test_on_gpus_trials_are_kept_for_their_kind(tmp_path: Path) -> None:
    cache(tmp_path, gpus="NVIDIA L4").write(RECORD)
    assert cache(tmp_path, gpus="NVIDIA L4").read() == RECORD
    assert cache(tmp_path, gpus="NVIDIA H100").read() is None


def test_what_was_kept_on_cpu_is_found_where_it_has_always_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "worker.inference.selection_cache"
    monkeypatch.setattr(f"{module}.package_version", lambda _: "1")
    monkeypatch.setattr(f"{module}.processor", lambda: "a processor")
    monkeypatch.setattr(f"{module}.MEASURE_VERSION", 3)
    cache(tmp_path).write(RECORD)
    (path,) = tmp_path.iterdir()
    assert path.name == "bd769ca126b7973a0574fa4d1331d6ac.json"


def test_trials_are_made_again_for_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "worker.inference.selection_cache"
    monkeypatch.setattr(f"{module}.package_version", lambda _: "1")
    cache(tmp_path).write(RECORD)
    assert cache(tmp_path).read() == RECORD
    monkeypatch.setattr(f"{module}.package_version", lambda _: "2")
    assert cache(tmp_path).read() is None


def row(backend: str, rate: float) -> dict[str, object]:
    return {
        "backend": backend,
        "images_per_second": rate,
        "problem": "",
        "passing": False,
        "taken": 0.0,
    }


@pytest.mark.parametrize(
    "kept",
    [
        [],
        {},
        [row("paddle", 1), row("openvino", 1)],
        {"trials": [row("paddle", 1)], "measurements": 1},
        {"trials": [row("paddle", 1), {"backend": "openvino"}], "measurements": 1},
        {"trials": [row("paddle", 1), row("wrong", 1)], "measurements": 1},
        {"trials": [row("paddle", 0), row("openvino", 0)], "measurements": 1},
        {"trials": [row("paddle", 1), row("openvino", 1)]},
    ],
)
def test_what_is_of_no_use_is_not_read(tmp_path: Path, kept: object) -> None:
    cache(tmp_path).write(RECORD)
    (path,) = tmp_path.iterdir()
    for content in (b"", b"\xff", json.dumps(kept).encode()):
        path.write_bytes(content)
        assert cache(tmp_path).read() is None


def test_without_a_directory_nothing_is_kept_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache(tmp_path / "file").write(RECORD)
    assert cache(tmp_path / "file").read() is None


@pytest.mark.parametrize(
    ("trials", "doubt"),
    [
        ((PADDLE, UNSUPPORTED), ""),
        ((PADDLE, CRASHED), "openvino failed for a reason that may pass"),
        (disturbed(0.05), ""),
        (disturbed(0.43), "other programs had 43% of the cores"),
    ],
)
def test_what_was_disturbed_or_may_pass_is_in_doubt(trials: tuple[Trial, ...], doubt: str) -> None:
    record = SelectionRecord(trials)
    assert record.doubt == doubt
    assert record.settled is (not doubt)


def test_the_least_disturbed_measurement_is_kept_after_a_few() -> None:
    record = SelectionRecord(disturbed(0.5, 50.0))
    record = record.measured_again(disturbed(0.3, 80.0))
    assert (record.trials, record.measurements) == (disturbed(0.3, 80.0), 2)
    while not record.settled:
        record = record.measured_again(disturbed(0.9, 10.0))
    assert (record.trials, record.measurements) == (disturbed(0.3, 80.0), MEASUREMENTS)
    assert record.doubt, "it is said as long as it is kept"


def test_a_crash_counts_for_less_than_other_load() -> None:
    crashed = SelectionRecord((PADDLE, CRASHED))
    assert crashed.measured_again(disturbed(0.5)).trials == disturbed(0.5)


def test_one_that_fails_now_is_not_chosen_for_what_was_measured_before() -> None:
    before = SelectionRecord((Trial("paddle", 100), Trial("openvino", 150, taken=0.2)))
    assert before.measured_again((PADDLE, CRASHED)) == SelectionRecord((PADDLE, CRASHED), 2)


def test_one_worker_at_a_time_has_the_turn_to_measure(tmp_path: Path) -> None:
    with cache(tmp_path / "new").turn():
        with pytest.raises(BlockingIOError), cache(tmp_path / "new").turn():
            pass
        with cache(tmp_path / "new", digest="sha256:2").turn():
            pass
    with cache(tmp_path / "new").turn():
        pass
