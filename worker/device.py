"""The device that a model runs on, parsed once: `cpu`, `gpu:0`, `gpu:0,1` and the like."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

__all__ = ["CPU", "DEVICE_FORMS", "Device", "DeviceKind"]

DeviceKind = Literal["cpu", "gpu", "npu", "xpu", "mlu"]

DEVICE_FORMS = "cpu, gpu:0, gpu:0,1, npu:0, xpu:0 or mlu:0"
"""What a device may look like, for help and errors."""

_DEVICE = re.compile(r"(?P<kind>cpu|gpu|npu|xpu|mlu)(?::(?P<indices>[0-9]{1,6}(?:,[0-9]{1,6})*))?")


@dataclass(frozen=True, slots=True)
class Device:
    """A kind of device, and which ones of that kind.

    `str(device)` gives back what `Device.parse` reads.

    Attributes:
        kind: `cpu`, `gpu` and so on.
        indices: in the order given; empty for the CPU, and where none was given, which means the
            first device of its kind.
    """

    kind: DeviceKind
    indices: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a device, in upper or lower case.

        Returns:
            The device, such as the CPU or several GPUs; whether this machine has it is not checked.

        Raises:
            ValueError: it is none; the message says what one looks like.
        """
        match = _DEVICE.fullmatch(text.lower())
        if match is None or (match["kind"] == "cpu" and match["indices"]):
            raise ValueError(f"not a device; use {DEVICE_FORMS}")
        indices = match["indices"]
        return cls(
            cast("DeviceKind", match["kind"]),
            tuple(int(index) for index in indices.split(",")) if indices else (),
        )

    def __str__(self) -> str:
        if not self.indices:
            return self.kind
        return f"{self.kind}:{','.join(map(str, self.indices))}"

    @property
    def index(self) -> int:
        """The only device's, or the first one's index."""
        return self.indices[0] if self.indices else 0

    def split(self) -> tuple[Device, ...]:
        """Split a device into single ones.

        Returns:
            Its devices, each with its index; the CPU is one device.
        """
        if self.kind == "cpu":
            return (self,)
        return tuple(Device(self.kind, (index,)) for index in self.indices or (0,))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:  # noqa: ANN401 - pydantic's protocol
        """Settings hold devices, and read and write them as text."""
        from pydantic_core import core_schema  # noqa: PLC0415 - only where settings are read

        return core_schema.no_info_plain_validator_function(
            cls._validated, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def _validated(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            # Of all errors pydantic makes a sentence of this one alone.
            raise ValueError(f"not a device; use {DEVICE_FORMS}")  # noqa: TRY004
        return cls.parse(value)


CPU = Device("cpu")
