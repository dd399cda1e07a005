"""A training's state on disk: whole, or the one before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from worker.errors import TrainingError
from worker.training.arrays import Arrays
from worker.training.checkpoint import load, load_array, save


def test_facts_and_arrays_are_read_as_they_were_saved(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    arrays: Arrays = {"now.0": np.arange(6, dtype=np.float32).reshape(2, 3), "best.x": np.zeros(0)}
    save(path, {"epoch": 3, "name": "ä"}, arrays)
    facts, read = load(path)
    assert facts == {"epoch": 3, "name": "ä"}
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_a_state_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.npz"
    save(path, {"epoch": 1}, {})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        save(path, {"epoch": 2}, {})
    assert load(path)[0] == {"epoch": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["state.npz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04N.", b"something else"])
def test_a_damaged_state_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.npz"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"state\.npz is damaged"):
        load(path)


def test_no_state_is_another_matter(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "state.npz")


def test_an_array_in_a_file_of_its_own_is_named_when_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "probe.npy"
    np.save(path, np.arange(6))
    np.testing.assert_array_equal(load_array(path), np.arange(6))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TrainingError, match=r"probe\.npy is damaged"):
        load_array(path)
    path.unlink()
    with pytest.raises(TrainingError, match=r"probe\.npy is damaged"):
        load_array(path)
