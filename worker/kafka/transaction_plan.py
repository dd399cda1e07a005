"""Decisions about one partition's transactions: pure, no I/O, no clock of its own."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Sequence

from worker.kafka.outgoing import Outgoing
from worker.kafka.parcel import Parcel

__all__ = ["MAX_BYTES", "Found", "choose", "compare", "locate", "pause_until_next"]

MAX_BYTES = 8 * 1024 * 1024
"""Bytes of messages at which a transaction takes no more: it must end long before its time-out, and
readers wait for its end."""


class Found(enum.Enum):
    """What the group's committed offset says of a transaction whose end is not known.

    Attributes:
        COMMITTED: it was committed, offsets and messages.
        ABORTED: it was not; nothing of it can be read.
        FOREIGN: someone else committed this partition.
    """

    COMMITTED = enum.auto()
    ABORTED = enum.auto()
    FOREIGN = enum.auto()


def choose(
    waiting: Iterable[Parcel],
    most: int,
    suspect: Parcel | None = None,
    max_bytes: int = MAX_BYTES,
) -> Sequence[Parcel]:
    """Choose the parcels of the next transaction: the first ones, at least one.

    Args:
        waiting: parcels in the order of their records.
        most: most parcels.
        suspect: a parcel that was refused: those before it do not wait for it.
        max_bytes: bytes of messages that only a single parcel may exceed.

    Returns:
        The parcels; empty if none wait.
    """
    chosen: list[Parcel] = []
    room = max_bytes
    for parcel in itertools.islice(waiting, most):
        room -= parcel.size
        if chosen and (room < 0 or parcel is suspect):
            break
        chosen.append(parcel)
    return chosen


def pause_until_next(
    waiting: int, since: float, *, interval: float, most: int, hurry: bool
) -> float:
    """Decide how long the next transaction waits for more parcels.

    Args:
        waiting: parcels that wait.
        since: seconds since the last transaction began.
        interval: seconds between the beginnings of two.
        most: parcels that begin one at once.
        hurry: whether the partition is about to be given up.

    Returns:
        Seconds; 0 if it begins now.
    """
    if hurry or waiting >= most:
        return 0.0
    return max(0.0, interval - since)


def compare(committed: int | None, known: int | None, attempted: int | None) -> Found:
    """Find out what became of a transaction, after its successor's producer has started.

    Args:
        committed: the group's offset now.
        known: the group's offset before the transaction.
        attempted: the offset that the transaction was to commit; None if there was none.

    Returns:
        What became of it.
    """
    if committed == known:
        return Found.ABORTED
    if attempted is not None and committed == attempted:
        return Found.COMMITTED
    return Found.FOREIGN


def locate(parcels: Sequence[Parcel], number: int) -> tuple[Parcel, Outgoing]:
    """Find a transaction's message by its number.

    Args:
        number: counts the messages of all parcels, from 0.

    Returns:
        The message, and its parcel.

    Raises:
        IndexError: there are not so many.
    """
    for parcel in parcels:
        if number < len(parcel.messages):
            return parcel, parcel.messages[number]
        number -= len(parcel.messages)
    raise IndexError(number)
