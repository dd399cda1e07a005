"""What the fixtures of the same name do with topics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiokafka import ConsumerRecord

__all__ = ["CreateTopic", "Fill", "Read"]

CreateTopic = Callable[..., Awaitable[str]]
Read = Callable[[str, int], Awaitable[list[ConsumerRecord]]]
Fill = Callable[..., Awaitable[None]]
