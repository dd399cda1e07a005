"""Errors of a whole answer about committed offsets, which aiokafka 0.14 overlooks.

Since version 2 of OffsetFetch, brokers say beside the offsets what concerns the group as a whole:
its coordinator is another one, or is still loading it after a restart. There are no offsets then.
aiokafka looks for errors of single partitions alone, finds none, and takes the answer for "nothing
is committed": all jobs that are still in the topic would be done again, or, with
`auto_offset_reset: latest`, those that wait would be skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.errors import (
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    NotCoordinatorError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchRequest

if TYPE_CHECKING:
    from aiokafka.consumer.group_coordinator import GroupCoordinator

__all__ = ["raise_overlooked"]


def raise_overlooked(coordinator: GroupCoordinator) -> None:
    """Have a consumer's coordinator raise such errors; it asks again after those that pass."""
    send = coordinator._send_req  # noqa: SLF001 - the one place through which all answers come

    async def checked(request: object) -> object:
        answer = await send(request)
        if not isinstance(request, OffsetFetchRequest):
            return answer
        # Version 1 has no such field.
        error = for_code(getattr(answer, "error_code", 0))
        if not error.errno:
            return answer
        if error in (NotCoordinatorError, CoordinatorNotAvailableError):
            coordinator.coordinator_dead()
        raise error(coordinator.group_id) if error is GroupAuthorizationFailedError else error()

    coordinator._send_req = checked  # noqa: SLF001 - likewise
