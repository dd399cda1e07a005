from __future__ import annotations

import pickle  # noqa: TID251 - of our own making
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from demo.torch_reader import read_state_dict

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
NUMBERS = np.arange(6, dtype="<f4")


class Storage:
    def __init__(self, key: str, count: int) -> None:
        self.key, self.count = key, count


class Tensor:
    def __init__(self, rebuild: Callable[..., object], *arguments: object) -> None:
        self.rebuild, self.arguments = rebuild, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.rebuild, (*self.arguments, False, OrderedDict())


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """As much of PyTorch as a pickle of its tensors refers to."""

    def rebuild(*_: object) -> None:
        """Stand in for the function of this name."""

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils = types.ModuleType("torch._utils")
    utils._rebuild_tensor_v2 = rebuild  # type: ignore[attr-defined]
    module = types.ModuleType("torch")
    module._utils = utils  # type: ignore[attr-defined]
    module.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return module


def write(path: Path, torch: types.ModuleType, tensors: dict[str, Any], raw: bytes) -> None:
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            if isinstance(obj, Storage):
                return ("storage", torch.FloatStorage, obj.key, "cpu", obj.count, None)
            return None

    def dump(file: IO[bytes], value: object) -> None:
        Pickler(file, protocol=2).dump(value)

    with path.open("wb") as file:
        dump(file, MAGIC)
        dump(file, PROTOCOL)
        dump(file, {"little_endian": True})
        dump(file, OrderedDict(tensors))
        dump(file, ["0"])
        file.write(raw)


def tensor(torch: types.ModuleType, offset: int, shape: object, strides: object) -> Tensor:
    return Tensor(torch._utils._rebuild_tensor_v2, Storage("0", 6), offset, shape, strides)


def storage_bytes(count: int = 6) -> bytes:
    return struct.pack("<q", count) + NUMBERS.tobytes()


def test_reads_tensors_by_their_strides(torch: types.ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    tensors = {
        "whole": tensor(torch, 0, (2, 3), (3, 1)),
        "transposed": tensor(torch, 0, (3, 2), (1, 3)),
        "tail": tensor(torch, 4, (2,), (1,)),
        "scalar": tensor(torch, 5, (), ()),
    }
    write(path, torch, tensors, storage_bytes())

    read = read_state_dict(path)

    expected = NUMBERS.reshape(2, 3)
    np.testing.assert_array_equal(read["whole"], expected)
    np.testing.assert_array_equal(read["transposed"], expected.T)
    np.testing.assert_array_equal(read["tail"], [4, 5])
    assert read["scalar"] == 5


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(0, (7,), (1,)), (-1, (2,), (1,)), (0, (2, 2), (5, 1))]
)
def test_a_tensor_may_not_reach_beyond_its_storage(
    torch: types.ModuleType,
    tmp_path: Path,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
) -> None:
    path = tmp_path / "weights.pth"
    write(path, torch, {"wild": tensor(torch, offset, shape, strides)}, storage_bytes())

    with pytest.raises(ValueError, match="beyond its storage"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (storage_bytes()[:-1], "cut short"),
        (storage_bytes(count=5), "mislabelled"),
        (storage_bytes() + b"x", "goes on after"),
    ],
)
def test_a_file_of_the_wrong_length_is_refused(
    torch: types.ModuleType, tmp_path: Path, raw: bytes, message: str
) -> None:
    path = tmp_path / "weights.pth"
    write(path, torch, {"whole": tensor(torch, 0, (6,), (1,))}, raw)

    with pytest.raises(ValueError, match=message):
        read_state_dict(path)


def test_code_in_a_pickle_is_not_run(torch: types.ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    target = tmp_path / "created"
    write(path, torch, {"evil": Tensor(Path.touch, target)}, storage_bytes())

    with pytest.raises(pickle.UnpicklingError, match="refused to load"):
        read_state_dict(path)

    assert not target.exists()


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(MAGIC) + pickle.dumps(PROTOCOL + 1) + pickle.dumps({}))

    with pytest.raises(ValueError, match="not a little-endian legacy PyTorch file"):
        read_state_dict(path)
