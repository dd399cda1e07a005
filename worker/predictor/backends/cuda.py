"""CUDA's driver, as far as a predictor process needs it: a GPU's name, and page-locked memory.

Of page-locked memory the GPU takes a copy by itself, without a second copy in the driver. The
driver is on every machine with a GPU, under one name, whichever version of CUDA a library was built
for.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["CudaDriver", "CudaError", "load_driver"]

NAME_BYTES = 256
"""Room for a GPU's name."""

PORTABLE = 1
"""Locked for all contexts of this process, whichever library made them."""


class CudaError(Exception):
    """The driver refuses, with its own word for why."""


class CudaDriver:
    """The driver's functions.

    Args:
        library: `libcuda`, loaded by ctypes.

    Raises:
        CudaError: there is no GPU, or the driver does not work.
    """

    def __init__(self, library: Any) -> None:  # noqa: ANN401 - functions found by name
        self._library = library
        self._call("cuInit", 0)

    def device_name(self, index: int) -> str:
        """Find a GPU's name, such as `NVIDIA L4`.

        Raises:
            CudaError: there is no such GPU.
        """
        name = ctypes.create_string_buffer(NAME_BYTES)
        self._call("cuDeviceGetName", name, NAME_BYTES, self._device(index))
        return name.value.decode(errors="replace")

    def lock_pages(self, index: int, address: int, size: int) -> None:
        """Lock memory of this process until it ends, so that a GPU can copy from it by itself.

        Args:
            index: of the GPU.
            address: of the first byte; pages are locked whole.
            size: bytes.

        Raises:
            CudaError: the driver cannot, for example since too much is locked already.
        """
        context = ctypes.c_void_p()
        # The context that libraries share; they keep it for as long as the process lives.
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device(index))
        self._call("cuCtxPushCurrent_v2", context)
        try:
            self._call(
                "cuMemHostRegister_v2",
                ctypes.c_void_p(address),
                ctypes.c_size_t(size),
                ctypes.c_uint(PORTABLE),
            )
        finally:
            self._call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    def _device(self, index: int) -> ctypes.c_int:
        device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(device), index)
        return device

    def _call(self, name: str, *arguments: object) -> None:
        code: int = getattr(self._library, name)(*arguments)
        if code:
            word = ctypes.c_char_p()
            known = not self._library.cuGetErrorName(code, ctypes.byref(word))
            why = (word.value or b"").decode() if known else ""
            raise CudaError(f"{name}: {why or f'error {code}'}")


def load_driver(load: Callable[[str], Any] = ctypes.CDLL) -> CudaDriver:
    """Load the driver.

    Args:
        load: loads a library by its name.

    Returns:
        It, ready.

    Raises:
        CudaError: it is not installed, or does not work.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return CudaDriver(load(name))
    except OSError as error:
        raise CudaError(f"{name} cannot be loaded: {error}") from error
