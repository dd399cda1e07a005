"""Arrays in files, without pickles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from worker.training.arrays import read_archive, read_array


def test_arrays_are_read_as_numpy_wrote_them(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.save(tmp_path / "one.npy", array)
    np.savez(tmp_path / "two.npz", first=array, second=array.T)
    np.testing.assert_array_equal(read_array(tmp_path / "one.npy"), array)
    read = read_archive(tmp_path / "two.npz")
    assert list(read) == ["first", "second"]
    np.testing.assert_array_equal(read["second"], array.T)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    # An array of objects is written as one.
    np.savez(tmp_path / "objects.npz", first=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_archive(tmp_path / "objects.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_something_else_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for read in (read_archive, read_array):
        with pytest.raises(ValueError, match=r"."):
            read(path)
