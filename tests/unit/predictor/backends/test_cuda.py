"""What CUDA's driver is asked for, and what its refusals become; the driver is a stand-in."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from worker.predictor.backends.cuda import CudaDriver, CudaError, load_driver


class Library:
    """A driver that keeps what it is asked for; its calls fail with codes that the test sets."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            given = tuple(getattr(value, "value", value) for value in arguments)
            self.calls.append((name, given))
            return self.codes.get(name, 0)

        return call

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802 - the driver's name
        device._obj.value = 100 + index
        return self.codes.get("cuDeviceGet", 0)

    def cuDeviceGetName(self, name: Any, room: int, device: ctypes.c_int) -> int:  # noqa: N802
        name.value = f"GPU {device.value}, of at most {room}".encode()
        return 0

    def cuGetErrorName(self, code: int, word: Any) -> int:  # noqa: N802
        word._obj.value = b"CUDA_ERROR_OUT_OF_MEMORY"
        return 0 if code == 2 else 1

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


def test_a_gpu_is_named() -> None:
    assert CudaDriver(Library()).device_name(1) == "GPU 101, of at most 256"


def test_memory_is_locked_in_the_context_that_libraries_share_and_for_all_of_them() -> None:
    library = Library()
    CudaDriver(library).lock_pages(0, 4096, 8192)
    assert library.names() == [
        "cuInit",
        "cuDevicePrimaryCtxRetain",
        "cuCtxPushCurrent_v2",
        "cuMemHostRegister_v2",
        "cuCtxPopCurrent_v2",
    ]
    assert dict(library.calls)["cuMemHostRegister_v2"] == (4096, 8192, 1)


def test_a_refusal_is_an_error_with_the_drivers_word_and_leaves_no_context_behind() -> None:
    library = Library(cuMemHostRegister_v2=2)
    with pytest.raises(CudaError, match=r"^cuMemHostRegister_v2: CUDA_ERROR_OUT_OF_MEMORY$"):
        CudaDriver(library).lock_pages(0, 4096, 8192)
    assert library.names()[-1] == "cuCtxPopCurrent_v2"


def test_a_code_that_the_driver_does_not_know_is_given_as_it_is() -> None:
    with pytest.raises(CudaError, match=r"^cuInit: error 999$"):
        CudaDriver(Library(cuInit=999))


def test_a_driver_that_is_not_there_is_an_error() -> None:
    def load(name: str) -> object:
        raise OSError(f"{name}: no such file")

    with pytest.raises(CudaError, match="cannot be loaded"):
        load_driver(load)
