"""Dead letters on a real broker: found, put back once, and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from tests.support.topics import CreateTopic
from worker.contract.dead_letters import dead_letter_message, without_value
from worker.contract.letters import DeadLetter
from worker.contract.records import Message, Record
from worker.dead_letters.filters import Conditions, Filter, Place
from worker.dead_letters.replay import Replay, ReplayOptions, read_memory
from worker.dead_letters.search import find_letter, find_letters, find_newest, narrowed
from worker.errors import Failure, KafkaSetupError, Reason, SettingsError, Stage
from worker.kafka.destinations import Destinations
from worker.kafka.letter_topic import LetterTopic
from worker.kafka.replay_client import ReplayClient, Restored
from worker.settings import KafkaSettings, PublishSettings

NOT_FOUND = Failure(Reason.NOT_FOUND, "the URL answers 404", Stage.FETCH)
TIMEOUT = Failure(Reason.FETCH_TIMEOUT, "no answer in time", Stage.FETCH, attempts=4)


def letter(
    topic: str, number: int, failure: Failure = NOT_FOUND, *, partition: int = 0, **changes: object
) -> Message:
    """The letter of record `number`, whose job is named after it."""
    record = Record(
        topic, partition, number, 1000, b"k%d" % number, b'{"image": "QUJD"}', [("x", b"1")]
    )
    record = replace(record, **changes)  # type: ignore[arg-type]
    return dead_letter_message(record, f"job-{number}", failure, "PP-LCNet_x1_0")


class Letters:
    """A dead-letter topic and the jobs topic that its letters came from."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka = kafka
        self.group = f"{kafka.group_id}-dead-letters"

    async def write(self, *letters: Message, partition: int = 0, first_ms: int = 10_000) -> None:
        """Append letters, each a second after the one before."""
        topic = self.kafka.dead_letters_topic
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers) as producer:
            for number, each in enumerate(letters):
                await producer.send_and_wait(
                    topic,
                    each.value,
                    each.key,
                    partition=partition,
                    timestamp_ms=first_ms + 1000 * number,
                    headers=list(each.headers),
                )

    async def replay(
        self,
        chosen: Filter = Filter(),  # noqa: B008 - it never changes
        *,
        dry_run: bool = False,
        transactional: bool = True,
        **options: object,
    ) -> tuple[list[str], list[str], dict[str, int]]:
        """Replay; the offsets whose records were put back, what failed, and the counts."""
        put_back: list[str] = []
        failed: list[str] = []

        def fail(one: DeadLetter, why: str) -> None:
            failed.append(f"{one.offset}: {why}")

        async with (
            LetterTopic(self.kafka) as topic,
            Destinations(self.kafka) as topics,
            ReplayClient(
                self.kafka, PublishSettings(), self.group, transactional=transactional
            ) as client,
        ):
            run = Replay(
                topic,
                topics,
                None if dry_run else client,
                ReplayOptions(chosen, one_by_one=not transactional, **options),  # type: ignore[arg-type]
                await read_memory(topic, self.group),
                put_back=lambda one: put_back.append(f"{one.partition}-{one.offset}"),
                failed=fail,
            )
            await run.run(await narrowed(topic, chosen))
            return put_back, failed, dict(run.counts)

    async def jobs(self, partition: int = 0) -> list[ConsumerRecord]:
        """What is committed in a partition of the jobs topic."""
        where = TopicPartition(self.kafka.jobs_topic, partition)
        found: list[ConsumerRecord] = []
        async with AIOKafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap_servers,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        ) as consumer:
            consumer.assign([where])
            [end] = (await consumer.end_offsets([where])).values()
            while await consumer.position(where) < end:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
        return found

    async def found(self, chosen: Filter) -> list[str]:
        async with LetterTopic(self.kafka) as topic:
            ranges = await narrowed(topic, chosen)
            async with aclosing(find_letters(topic, chosen, ranges)) as letters:
                return [f"{each.partition}-{each.offset}" async for each in letters]


@pytest.fixture
async def letters(kafka: KafkaSettings, create_topic: CreateTopic) -> Letters:
    await create_topic(kafka.jobs_topic, 2)
    await create_topic(kafka.dead_letters_topic, 2)
    return Letters(kafka)


def chosen(**accepted: Sequence[str]) -> Filter:
    return Filter(Conditions.of(None, **accepted))


async def test_letters_are_found_by_each_condition_and_all_together(letters: Letters) -> None:
    jobs = letters.kafka.jobs_topic
    await letters.write(letter(jobs, 0), letter(jobs, 1, TIMEOUT), letter("other", 2, TIMEOUT))
    await letters.write(letter(jobs, 3, TIMEOUT), partition=1, first_ms=60_000)
    assert sorted(await letters.found(Filter())) == ["0-0", "0-1", "0-2", "1-0"]
    assert await letters.found(chosen(reason=["not_found"])) == ["0-0"]
    assert await letters.found(chosen(topic=["other"], stage=["fetch"])) == ["0-2"]
    assert await letters.found(chosen(job=["job-3"], model=["PP-LCNet_x1_0"])) == ["1-0"]
    assert await letters.found(chosen(key=["k1"], reason=["not_found"])) == []
    assert await letters.found(Filter(place=Place(since_ms=11_000, until_ms=12_000))) == ["0-1"]
    assert await letters.found(Filter(place=Place(frozenset({0}), (1, 9)))) == ["0-1", "0-2"]
    async with LetterTopic(letters.kafka) as topic:
        newest = await find_newest(topic, Filter(), topic.bounds, 2)
        assert [each.job_id for each in newest] == ["job-3", "job-2"]
        found = await find_letter(topic, letters.kafka.dead_letters_topic, "0-1")
        assert found is not None
        assert found.letter.reason == "fetch_timeout"
        by_record = await find_letter(topic, letters.kafka.dead_letters_topic, f"{jobs}-0-3")
        assert by_record is not None
        assert by_record.letter.id == f"{letters.kafka.dead_letters_topic}-1-0"
        assert await find_letter(topic, letters.kafka.dead_letters_topic, "1-1") is None


async def test_a_record_goes_back_as_it_was_and_once(letters: Letters) -> None:
    jobs = letters.kafka.jobs_topic
    original = letter(
        jobs, 7, partition=1, value=b"\xff\xd8raw", headers=[("Content-Type", b"image/jpeg")]
    )
    await letters.write(original)
    assert await letters.replay() == (["0-0"], [], {"replayed": 1})
    assert await letters.replay() == ([], [], {"already": 1})
    assert await letters.replay(chosen(reason=["not_found"])) == ([], [], {"already": 1})
    assert await letters.jobs(0) == []
    [back] = await letters.jobs(1)
    assert (back.key, back.value) == (b"k7", b"\xff\xd8raw")
    assert back.headers == (("Content-Type", b"image/jpeg"), ("replay-attempts", b"1"))


async def test_filtered_replays_take_turns_and_put_nothing_back_twice(letters: Letters) -> None:
    jobs = letters.kafka.jobs_topic
    kinds = (NOT_FOUND, TIMEOUT)
    await letters.write(*(letter(jobs, number, kinds[number % 2]) for number in range(40)))
    some = await letters.replay(chosen(reason=["fetch_timeout"]), limit=5)
    assert some[0] == [f"0-{number}" for number in (1, 3, 5, 7, 9)]
    late = Filter(place=Place(since_ms=10_000 + 30_000))
    assert (await letters.replay(late))[0] == [f"0-{number}" for number in range(30, 40)]
    dry = await letters.replay(dry_run=True)
    assert dry[2] == {"replayed": 25, "already": 15}
    assert (await letters.replay())[0] == dry[0]
    assert (await letters.replay())[2] == {"already": 40}
    back = [record.key for record in await letters.jobs()]
    assert sorted(back) == sorted(b"k%d" % number for number in range(40))
    async with LetterTopic(letters.kafka) as topic:
        # Everything is a prefix again, so nothing but the offset is needed.
        assert (await topic.committed(letters.group))[0] == (40, "")


async def test_what_cannot_be_put_back_is_said_and_holds_up_nothing(letters: Letters) -> None:
    jobs = letters.kafka.jobs_topic
    nothing = letter(jobs, 1, Failure(Reason.NULL_VALUE, "null", Stage.PARSE), value=None)
    often = letter(jobs, 2, headers=[("replay-attempts", b"5")])
    await letters.write(
        letter(jobs, 0), nothing, often, without_value(letter(jobs, 3)), letter(jobs, 4)
    )
    put_back, failed, counts = await letters.replay()
    assert put_back == ["0-0", "0-4"]
    assert counts == {"replayed": 2, "failed": 2, "left": 1}
    assert "had no value" in failed[0]
    assert "17 bytes was left out" in failed[1]
    assert (await letters.replay(max_attempts=6))[0] == ["0-2"]
    counted = [dict(record.headers)["replay-attempts"] for record in await letters.jobs()]
    assert counted == [b"1", b"1", b"6"]


async def test_a_missing_source_topic_is_named_and_what_was_before_it_is_done(
    letters: Letters,
) -> None:
    await letters.write(letter(letters.kafka.jobs_topic, 0), letter("gone", 1))
    with pytest.raises(KafkaSetupError, match="came from topic gone, which does not exist"):
        await letters.replay()
    assert len(await letters.jobs()) == 1
    there = chosen(topic=[letters.kafka.jobs_topic])
    assert (await letters.replay(there))[2] == {"already": 1}


async def test_a_dry_run_tells_all_letters_whose_topic_is_missing(letters: Letters) -> None:
    gone = f"{letters.kafka.jobs_topic}-gone"
    here = letters.kafka.jobs_topic
    await letters.write(letter(gone, 0), letter(here, 1), letter(gone, 2), letter(here, 3))
    put_back, failed, counts = await letters.replay(dry_run=True)
    assert put_back == ["0-1", "0-3"]
    assert [why.partition(":")[0] for why in failed] == ["0", "2"]
    assert all(f"came from topic {gone}, which does not exist" in why for why in failed)
    assert counts == {"replayed": 2, "failed": 2}
    assert await letters.jobs() == []


async def test_a_partition_that_is_not_there_is_named(letters: Letters) -> None:
    await letters.write(letter(letters.kafka.jobs_topic, 0))
    async with LetterTopic(letters.kafka) as topic:
        last = max(topic.bounds)
        for place in (Place(partitions=frozenset({0, last + 7})), Place(frozenset({last + 7}))):
            with pytest.raises(SettingsError, match=rf"--partition {last + 7}: topic .* has "):
                await narrowed(topic, Filter(place=place))


async def test_a_record_that_its_topic_refuses_fails_alone(
    letters: Letters, create_topic: CreateTopic
) -> None:
    compacted = await create_topic(f"{letters.kafka.jobs_topic}-keys", cleanup_policy="compact")
    small = await create_topic(f"{letters.kafka.jobs_topic}-small", max_message_bytes="2000")
    jobs = letters.kafka.jobs_topic
    await letters.write(
        letter(jobs, 0),
        letter(compacted, 1, key=None),
        letter(small, 2, value=b"x" * 3000),
        letter(jobs, 3),
    )
    put_back, failed, _ = await letters.replay()
    assert put_back == ["0-0", "0-3"]
    assert sorted(failed) == [
        f"1: topic {compacted} refuses it: INVALID_RECORD",
        f"2: the record has 3020 bytes, and topic {small} takes 2000 (max.message.bytes)",
    ]
    assert (await letters.replay())[2] == {"already": 2, "failed": 2}
    assert len(await letters.jobs()) == 2


async def test_without_transactions_it_is_remembered_as_well(letters: Letters) -> None:
    jobs = letters.kafka.jobs_topic
    # The partition that the second came from is gone, and the third's is no number of one: their
    # keys decide.
    await letters.write(
        letter(jobs, 0), letter(jobs, 1, partition=9), letter(jobs, 2, partition=-1)
    )
    assert (await letters.replay(transactional=False))[2] == {"replayed": 3}
    assert (await letters.replay())[2] == {"already": 3}
    assert len(await letters.jobs(0)) + len(await letters.jobs(1)) == 3


async def test_what_a_killed_replay_left_open_is_undone_by_the_next(letters: Letters) -> None:
    jobs, kafka = letters.kafka.jobs_topic, letters.kafka
    await letters.write(*(letter(jobs, number) for number in range(3)))
    # As one that is killed between its records and its commit: nothing is committed or aborted.
    killed = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, transactional_id=letters.group
    )
    await killed.start()
    try:
        await killed.begin_transaction()
        await killed.send_and_wait(jobs, b"{}", partition=0)
        assert (await letters.replay())[2] == {"replayed": 3}
        assert [record.key for record in await letters.jobs()] == [b"k0", b"k1", b"k2"]
    finally:
        # It was fenced, so it cannot flush.
        await killed._sender.close()
        await killed.client.close()
        killed._closed = True


async def test_a_second_replay_of_a_group_stops_the_first(letters: Letters) -> None:
    kafka, publish = letters.kafka, PublishSettings()
    record = Restored(kafka.jobs_topic, 0, Message(b"k", b"{}", ()))
    async with ReplayClient(kafka, publish, letters.group) as first:
        await first.put_back([record], {0: (0, "")})
        async with ReplayClient(kafka, publish, letters.group):
            with pytest.raises(KafkaSetupError, match="another replay"):
                await first.put_back([record], {0: (1, "")})
    assert len(await letters.jobs()) == 1


async def test_letters_are_deleted_up_to_an_offset(letters: Letters) -> None:
    await letters.write(*(letter(letters.kafka.jobs_topic, number) for number in range(5)))
    async with LetterTopic(letters.kafka) as topic:
        assert await topic.offsets_at(12_000) == {0: 2, 1: 0}
        assert await topic.delete({0: 2}) == {0: 2}
        # What was deleted while it is read is skipped.
        assert await topic.offsets_at(0) == {0: 2, 1: 0}
        async with aclosing(topic.read({0: (0, 5)})) as records:
            assert [record.offset async for record in records] == [2, 3, 4]
    assert await letters.found(Filter()) == ["0-2", "0-3", "0-4"]
