"""One partition's part of a broker's answer to a fetch request, in all versions of the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PartitionResponse", "read_partition_response"]


@dataclass(frozen=True, slots=True)
class PartitionResponse:
    """What a broker answered for one partition.

    Attributes:
        code: the error code; 0 for success.
        end: the partition's end, as the broker knew it just before it read the batches.
        stable_end: where the first open transaction begins; None if the broker does not say.
        aborted: the aborted transactions among the batches, each as the producer's id and the
            first offset.
        data: batches, the last of which may be incomplete; empty if there are none.
    """

    number: int
    code: int
    end: int
    stable_end: int | None
    aborted: Sequence[tuple[int, int]]
    data: bytes | memoryview

    def readable_end(self, *, committed: bool) -> int:
        """Find where the records end that the broker can send.

        Args:
            committed: whether only committed records are read: they end at the first open
                transaction.

        Returns:
            An offset.
        """
        stable = self.stable_end
        return self.end if not committed or stable is None or stable < 0 else stable


def read_partition_response(fields: Sequence[Any]) -> PartitionResponse:
    """Read the fields of one partition as aiokafka decodes them.

    The first three are number, code and end, the last one is the batches. Before it are, depending
    on the version: nothing; stable end and aborted transactions; the same with the log's start in
    between; or these and then a preferred replica.

    Returns:
        What the broker answered; without a stable end and aborted transactions in a version that
        lacks them.
    """
    number, code, end, *middle, data = fields
    stable_end = middle[0] if middle else None
    aborted = (middle[2 if len(middle) > 2 else 1] if middle else None) or ()
    return PartitionResponse(number, code, end, stable_end, aborted, data or b"")
