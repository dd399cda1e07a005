"""The file of a baseline: what is written is read again, and what is wrong is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from worker.drift.baseline import BINS, Baseline, read_baseline, write_baseline
from worker.errors import SettingsError, WorkerError

BASELINE = Baseline(
    model="PP-LCNet_x1_0",
    digest="sha256:0a",
    data="sha256:0b",
    images=4,
    classes={"cat": 0.75, "Blässhuhn": 0.25},
    score_bins=BINS,
    scores=(0.0,) * 7 + (0.25, 0.25, 0.5),
    entropy_bins=BINS,
    entropies=(1.0,) + (0.0,) * 9,
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "baseline.json"
    write_baseline(path, BASELINE)
    assert read_baseline(path) == BASELINE


def test_the_file_has_the_documented_form(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write_baseline(path, BASELINE)
    document = orjson.loads(path.read_bytes())
    assert document == {
        "format": 1,
        "model": {"name": "PP-LCNet_x1_0", "digest": "sha256:0a"},
        "data": {"digest": "sha256:0b", "images": 4},
        "classes": {"cat": 0.75, "Blässhuhn": 0.25},
        "score_bins": [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
        "scores": [0, 0, 0, 0, 0, 0, 0, 0.25, 0.25, 0.5],
        "entropy_bins": [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
        "entropies": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    }


def test_a_model_without_entropies_has_none(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    silent = replace(BASELINE, scores=(0.0,) * 10, entropies=(0.0,) * 10)
    write_baseline(path, silent)
    assert read_baseline(path) == silent


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkerError, match=r"file/baseline\.json cannot be written"):
        write_baseline(tmp_path / "file" / "baseline.json", BASELINE)


def test_a_file_that_is_not_there_is_named_with_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"No such file.*evaluate --baseline .*b\.json"):
        read_baseline(tmp_path / "b.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2, and this version reads format 1"),
        ({"model": "cat"}, "has no model, or not of the right type"),
        ({"model": {"name": "cat"}}, "has no digest"),
        ({"data": {"digest": "sha256:0", "images": 0}}, "is of no image"),
        ({"data": {"digest": "sha256:0", "images": True}}, "has no images"),
        ({"classes": {}}, "has no classes"),
        ({"classes": {"cat": 0.5}}, "has classes that are no shares of 1"),
        ({"classes": {"cat": 1.5, "dog": -0.5}}, "has classes that are no shares of 1"),
        ({"classes": {"cat": "all"}}, "has classes that are not all numbers"),
        ({"scores": [1.0]}, "has 1 scores for 10 bins"),
        ({"scores": [True] + [0] * 9}, "has scores that are not all numbers"),
        ({"score_bins": [0, 0.5, 0.5, 1]}, "has score_bins that do not ascend from 0 to 1"),
        ({"score_bins": []}, "has score_bins that do not ascend from 0 to 1"),
        ({"entropy_bins": [0.0, 0.5]}, "has entropy_bins that do not ascend from 0 to 1"),
    ],
)
def test_what_is_wrong_with_a_document_is_said(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "baseline.json"
    write_baseline(path, BASELINE)
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | changes))
    with pytest.raises(SettingsError, match=message):
        read_baseline(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b'{"format": NaN}'])
def test_what_is_not_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="is not JSON"):
        read_baseline(path)


def test_another_document_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(b"[]")
    with pytest.raises(SettingsError, match="is no JSON object"):
        read_baseline(path)
