"""What the consumer knows by itself, without asking a broker."""

from __future__ import annotations

from aiokafka import TopicPartition

from worker.kafka.client import make_consumer
from worker.settings import KafkaSettings


async def test_a_position_is_told_once_it_is_known_of_what_is_assigned() -> None:
    consumer = make_consumer(KafkaSettings())
    mine, other = TopicPartition("jobs", 0), TopicPartition("jobs", 1)
    assert consumer.current_position(mine) is None, "nothing is subscribed"
    consumer.assign([mine])
    assert consumer.current_position(mine) is None, "it is not known yet"
    consumer._subscription.seek(mine, 0)
    assert consumer.current_position(mine) == 0
    assert consumer.current_position(other) is None, "it is not assigned"
    await consumer.stop()
