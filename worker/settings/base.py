"""What all groups of settings share: strictness, and the types that carry a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Bytes",
    "Count",
    "Group",
    "MessageBytes",
    "MiB",
    "Pause",
    "Seconds",
    "Speed",
    "Unit",
    "Wait",
]


@dataclass(frozen=True, slots=True)
class Unit:
    """Marks an annotated type with the unit that its values are in."""

    name: str


Seconds = Annotated[float, Field(gt=0, le=86_400), Unit("seconds")]
"""A time that cannot be zero."""

Wait = Annotated[float, Field(ge=0, le=10), Unit("seconds")]
"""A short time that may be zero."""
Pause = Annotated[float, Field(ge=0, le=0.1), Unit("seconds")]
"""A time that nobody notices who waits for a second."""

Bytes = Annotated[int, Field(ge=1, le=2**40), Unit("bytes")]
MessageBytes = Annotated[int, Field(ge=1, le=2**31 - 1), Unit("bytes")]
"""A size that Kafka's protocol carries in a signed 32-bit integer."""

Speed = Annotated[int, Field(ge=0, le=2**40), Unit("bytes per second")]

Count = Annotated[int, Field(ge=1, le=1_000_000)]

MiB = 1024 * 1024


class Group(BaseModel):
    """Base of all groups: frozen, no unknown names, defaults checked like any other value."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
