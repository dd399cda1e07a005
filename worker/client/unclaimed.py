"""Results that may belong to a job whose place is not known yet. Pure bookkeeping, no I/O."""

from __future__ import annotations

from collections import OrderedDict

from worker.contract.records import Record

__all__ = ["Unclaimed"]


class Unclaimed:
    """Keeps results without a correlation id while jobs are being sent.

    The worker leaves copied headers out where a result would not fit otherwise. Then only the id of
    the job's record tells whose result it is, and that is known once the brokers have acknowledged
    the job, which may be later. Most results without a correlation id are another producer's: each
    is kept only until the jobs that were being sent when it came are acknowledged.

    Args:
        max_bytes: bytes of results from which on there is no room.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # Invariant: the numbers of the jobs never decrease from the first entry to the last.
        self._held: OrderedDict[str, tuple[int, Record]] = OrderedDict()
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether no more results should be read before some are dropped."""
        return self._bytes >= self._max_bytes

    def hold(self, record_id: str, result: Record, newest: int) -> None:
        """Keep a result.

        Args:
            record_id: of the job's record, as the result says.
            newest: number of the job whose sending began last.
        """
        if record_id not in self._held:  # of several deliveries the first is as good
            self._held[record_id] = (newest, result)
            self._bytes += result.size

    def claim(self, record_id: str) -> Record | None:
        """Remove the result of a job whose record is acknowledged.

        Returns:
            The result; None if it has not come yet.
        """
        _, result = self._held.pop(record_id, (0, None))
        self._bytes -= 0 if result is None else result.size
        return result

    def drop_before(self, oldest: int | None) -> None:
        """Drop results that can no longer be claimed.

        Args:
            oldest: number of the job that is being sent for the longest time; None if none is.
        """
        while self._held:
            record_id, (newest, result) = next(iter(self._held.items()))
            if oldest is not None and newest >= oldest:
                break
            del self._held[record_id]
            self._bytes -= result.size
