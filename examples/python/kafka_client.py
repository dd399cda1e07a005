"""Classifies an image over Kafka.

python kafka_client.py IMAGE [BROKERS [JOBS_TOPIC RESULTS_TOPIC]]    IMAGE: a file or an http(s) URL
"""

import asyncio
import base64
import json
import sys
import uuid
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

MAX_MESSAGE = 8 << 20


async def classify(job: dict[str, Any], brokers: str, jobs: str, results: str) -> dict[str, Any]:
    """Send the job and wait for its result.

    Raises:
        TimeoutError: there was none within a minute.
    """
    async with (
        asyncio.timeout(60),
        AIOKafkaConsumer(
            bootstrap_servers=brokers,
            max_partition_fetch_bytes=MAX_MESSAGE,
            isolation_level="read_committed",  # workers may use transactions
        ) as consumer,
        AIOKafkaProducer(bootstrap_servers=brokers, max_request_size=MAX_MESSAGE) as producer,
    ):
        # At the end of the results before the job is sent, so that its own cannot be missed.
        partitions = await producer.partitions_for(results)
        consumer.assign([TopicPartition(results, number) for number in partitions])
        await consumer.seek_to_end()
        await producer.send_and_wait(jobs, json.dumps(job).encode())
        while True:
            answer: dict[str, Any] = json.loads((await consumer.getone()).value)
            if answer["jobId"] == job["jobId"]:
                return answer


def main(
    image: str,
    brokers: str = "localhost:9092",
    jobs: str = "image-jobs",
    results: str = "image-results",
) -> None:
    """Print the categories and save the picture as classified.jpg."""
    if not image.startswith(("http://", "https://")):
        image = base64.b64encode(Path(image).read_bytes()).decode()
    job = {"jobId": str(uuid.uuid4()), "image": image, "inferenceParams": {"topK": 5}}
    answer = asyncio.run(classify(job, brokers, jobs, results))
    if answer["errorCode"] != 0:
        sys.exit(f"{answer['errorCode']}: {answer['errorMsg']}")
    for category in answer["result"]["categories"]:
        print(f"{category['score']:.5f}  {category['name']}")
    Path("classified.jpg").write_bytes(base64.b64decode(answer["result"]["image"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
