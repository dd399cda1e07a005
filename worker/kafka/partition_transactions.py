"""The transactions of one assigned partition: its results, and its offset, all or none.

The order of the first steps is what makes it exact. Starting the producer fences an earlier owner
that does not know yet that it is none, and ends what it left open. Only then is the committed
offset final, and reading may begin there. Only the producer that started last can commit.

After an error the same steps are taken again, once the group's coordinator has said that the
partition is still this worker's. The committed offset then tells whether the last transaction was
committed. If it was not, its messages are still here and are sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog
from aiokafka.errors import KafkaError

from worker.kafka.parcel import Parcel
from worker.kafka.partition_producer import PartitionProducer
from worker.kafka.transaction_context import Shared
from worker.kafka.transaction_errors import Trouble, judge
from worker.kafka.transaction_plan import Found, choose, compare, pause_until_next
from worker.kafka.transaction_refusals import TransactionRefusals
from worker.kafka.transactional_producer import MessageFailedError

if TYPE_CHECKING:
    from worker.kafka.assignment import PartitionState

__all__ = ["PartitionTransactions"]

IDLE_CHECK = 1.0
"""Seconds between two looks for offsets that are no jobs, and are committed all the same."""

LIMIT_SHARE = 0.8
"""Share of the transaction's time-out after which it is given up here, before brokers abort it."""

log = structlog.get_logger(__name__)


class PartitionTransactions:
    """Commits what is put here, in order, until cancelled.

    Args:
        state: the partition's, not ready: it is polled once its producer has started.
    """

    def __init__(self, state: PartitionState, shared: Shared) -> None:
        self._partition = state.partition
        self._place = {"topic": state.partition.topic, "partition": state.partition.partition}
        self._shared = shared
        self._retry = shared.retry
        # Invariant: in the order of their records; none leaves before it is committed.
        self._waiting: deque[Parcel] = deque()
        self._news = asyncio.Event()
        self._quiet = asyncio.Event()
        self._hurried = False
        self._producer = PartitionProducer(state.partition, shared, self._abandon)
        self._began = -math.inf
        # The offset that was committed last, and of which state of the partition it was.
        self._known: int | None = None
        self._known_of: PartitionState | None = None
        # The transaction whose end is not known, if there is one.
        self._batch: Sequence[Parcel] = ()
        self._attempted: int | None = None
        self._attempted_of = state
        self._refusals = TransactionRefusals(
            shared.sizes, shared.refusals, shared.history, shared.metrics, shared.clock
        )
        # Whether the last error has changed what is sent next, or how.
        self._decided = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection to a broker."""
        return self._producer.connected

    def put(self, parcels: Sequence[Parcel]) -> None:
        """Have parcels delivered after all that were put here before."""
        if not parcels:
            return
        self._quiet.clear()
        idle = not self._waiting
        self._waiting.extend(parcels)
        if idle or len(self._waiting) >= self._shared.settings.max_records:
            self._news.set()

    def hurry(self) -> None:
        """Wait no longer for more parcels: the partition is about to be given up."""
        self._hurried = True
        self._quiet.clear()
        self._news.set()

    async def quiet(self) -> None:
        """Wait until nothing is left to commit; at once if nothing can be committed now."""
        if self._known_of is not None and self._producer.current is not None:
            await self._quiet.wait()

    async def run(self) -> None:
        """Start, then commit until cancelled."""
        await self._open()
        while True:
            pauses = self._retry.pauses(self._shared.clock)
            parcels, offset = await self._gather()
            while not await self._commit(parcels, offset):
                if self._decided:
                    # The next attempt is another one, so it need not wait.
                    pauses = self._retry.pauses(self._shared.clock)
                else:
                    await self._shared.clock.sleep(next(pauses))
                await self._open()
                await self._probe()
                if not self._waiting:
                    break  # it was committed after all, or the partition begins anew
                parcels, offset = self._choose()

    async def stop(self) -> None:
        """Disconnect. The partition's next owner ends what is left open."""
        await self._producer.stop()

    # Beginning, and beginning again

    async def _open(self) -> None:
        """Have a producer, read the committed offset, and go on there."""
        await self._producer.open(self._go_on)

    async def _go_on(self, committed: int | None) -> None:
        """Begin at the committed offset, or find out what became of the last transaction."""
        state = self._state
        if not state.ready:
            self._seek(state, committed)
            return
        match compare(committed, self._known, self._attempted):
            case Found.COMMITTED:
                self._note_committed()
            case Found.FOREIGN:
                log.warning(
                    "partition_committed_elsewhere", **self._place, known=self._known, now=committed
                )
                await self._abandon()
                self._seek(self._state, committed)
        self._attempted = None

    def _seek(self, state: PartitionState, committed: int | None) -> None:
        """Have the partition polled from the committed offset on."""
        # Without one `worker.kafka.positions` decides, unless reading had begun before.
        start = state.start if committed is None else committed
        if committed is None and self._known is not None:
            # Brokers forget offsets with their topic. If it is made again, it begins at 0, and may
            # have grown beyond `state.start` by now.
            start = 0
        if start is not None:
            self._shared.consumer.seek(self._partition, start)
            state.start = start
        state.committed = committed
        self._known, self._known_of, self._attempted = committed, state, None
        state.ready = True
        log.debug("partition_opened", **self._place, committed=committed)

    async def _abandon(self) -> None:
        """Give up the jobs of the partition that are not committed."""
        self._waiting.clear()
        self._refusals.suspect = None
        state = self._state
        await self._shared.assignment.renew(state, state.start)

    async def _give_up(self) -> None:
        """Stop working on the partition, until this worker knows that it still owns it.

        Another worker may have it, of which this one has not heard: it was suspended, say. Starting
        a producer would then fence the owner. If it is still a member of its group, the partition
        was not given to anyone else: brokers fence producers of transactions that took too long
        too. If it is not, it joins again, and this loop ends when its partitions are revoked.
        """
        log.warning(
            "partition_fenced",
            **self._place,
            reason="another producer with its transactional id has started, or a transaction timed "
            "out; its jobs are left to the partition's owner",
        )
        self._producer.discard()
        await self._abandon()
        await self._shared.clock.sleep(self._shared.membership_pause)

    @property
    def _state(self) -> PartitionState:
        return self._shared.assignment.current(self._partition)

    # One transaction

    async def _gather(self) -> tuple[Sequence[Parcel], int]:
        """Wait until a transaction is due.

        Returns:
            Its parcels, and the offset to commit.
        """
        settings, clock = self._shared.settings, self._shared.clock
        while True:
            self._news.clear()
            pause = IDLE_CHECK
            if self._waiting:
                pause = pause_until_next(
                    len(self._waiting),
                    clock.monotonic() - self._began,
                    interval=settings.commit_interval,
                    most=settings.max_records,
                    hurry=self._hurried,
                )
                if pause <= 0:
                    return self._choose()
            elif (offset := self._idle_offset()) is not None:
                return (), offset
            else:
                self._quiet.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    def _choose(self) -> tuple[Sequence[Parcel], int]:
        suspect = self._refusals.suspect
        held_back = None if suspect is None else suspect.parcel
        parcels = choose(self._waiting, self._shared.settings.max_records, held_back)
        state, known = self._state, self._known or 0
        own = [parcel.record.offset + 1 for parcel in parcels if parcel.state is state]
        if own:
            return parcels, own[-1]
        # All are of a topic that was deleted and made again: they have no offset any more.
        return parcels, known if self._known_of is state else (state.ledger.position or 0)

    def _idle_offset(self) -> int | None:
        """Find an offset that no job stands for: where reading began, or transaction markers."""
        state = self._state
        position = state.ledger.position
        if position is None or not state.ready:
            return None
        # Jobs settle a moment after their transaction, so a position below `known` is an old one,
        # unless the topic was deleted and made again.
        begun_again = self._known_of is not state
        return (
            position
            if begun_again or position > (-1 if self._known is None else self._known)
            else None
        )

    async def _commit(self, parcels: Sequence[Parcel], offset: int) -> bool:
        """Try once to commit parcels and an offset.

        Returns:
            Whether that was done. If not, the producer is gone.
        """
        shared, producer = self._shared, self._producer.current
        assert producer is not None
        messages = [outgoing for parcel in parcels for outgoing in parcel.messages]
        self._began = began = shared.clock.monotonic()
        self._batch, self._attempted, self._decided = parcels, offset, False
        self._attempted_of = self._state
        error: Exception | None = None
        done = False
        try:
            async with asyncio.timeout(LIMIT_SHARE * shared.settings.timeout):
                await producer.commit(messages, self._partition, offset)
        except MessageFailedError as failed:
            self._attempted = None
            error = failed.error
            self._decided = self._refusals.note(parcels, failed)
        except (KafkaError, TimeoutError) as failed_transaction:
            error = failed_transaction
            self._producer.note_trouble(error)
        else:
            done = True
            self._note_committed()
        finally:
            if not done:
                self._producer.discard()
            shared.metrics.transaction_duration.observe(shared.clock.monotonic() - began)
        if error is None:
            return True
        fenced = judge(error) is Trouble.FENCED
        shared.metrics.transactions.labels("fenced" if fenced else "aborted").inc()
        if fenced:
            await self._give_up()
        return False

    def _note_committed(self) -> None:
        """Take note that the last transaction was committed."""
        shared, parcels = self._shared, self._batch
        shared.metrics.transactions.labels("committed").inc()
        shared.metrics.transaction_records.observe(len(parcels))
        shared.metrics.commits.labels("success").inc()
        shared.metrics.last_commit.set_to_current_time()
        self._known, self._known_of = self._attempted, self._attempted_of
        self._attempted_of.committed = self._known
        self._attempted, self._batch = None, ()
        self._refusals.forget(parcels)
        for parcel in parcels:
            assert self._waiting.popleft() is parcel
            for outgoing in parcel.messages:
                shared.history.accepted(outgoing.topic)
            if not parcel.delivered.done():
                parcel.delivered.set_result(None)

    # What fails

    async def _probe(self) -> None:
        """Find out whether a topic accepts other messages than the one it does not accept."""
        producer, other = self._producer.current, self._refusals.witness(self._waiting)
        if producer is None or other is None:
            return
        try:
            async with asyncio.timeout(LIMIT_SHARE * self._shared.settings.timeout):
                await producer.probe([other])
        except (MessageFailedError, KafkaError, TimeoutError) as error:
            log.warning("publish_failed", **self._place, destination=other.topic, error=str(error))
            self._producer.discard()
            await self._open()
        else:
            self._shared.history.accepted(other.topic)
