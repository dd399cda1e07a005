"""How a network's kernels compute: with which numbers, and whether TensorRT makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PLAIN_KERNELS", "Kernels", "Precision"]

Precision = Literal["fp32", "fp16", "bf16"]
"""Floating-point numbers of 32 bits; of 16 bits with 11 significant ones; or of 16 bits with 8 and
the range of those of 32."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """What is asked of the library that computes a network.

    Attributes:
        precision: of weights and values between layers, as far as its kernels allow.
        tensorrt: whether TensorRT builds an engine for the device.
    """

    precision: Precision = "fp32"
    tensorrt: bool = False

    @property
    def facts(self) -> tuple[str, ...]:
        """What a measurement or check depends on, in words; nothing for the defaults."""
        named = (self.precision,) if self.precision != "fp32" else ()
        return (*named, "tensorrt") if self.tensorrt else named


PLAIN_KERNELS = Kernels()
"""Full precision, with the library's own kernels."""
