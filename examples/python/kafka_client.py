"""Classifies an image over Kafka.

python kafka_client.py IMAGE [BROKERS [JOBS_TOPIC RESULTS_TOPIC]]    IMAGE: a file or an http(s) URL
"""

import asyncio
import sys
from pathlib import Path

from worker.client import Classification, JobRefused, KafkaClient


async def classify(image: str, brokers: str, jobs: str, results: str) -> Classification:
    """Send the image as a job and wait for its result."""
    async with KafkaClient(brokers, jobs_topic=jobs, results_topic=results) as client:
        return await client.classify(image, top_k=5, visualize=True)


def main(
    image: str,
    brokers: str = "localhost:9092",
    jobs: str = "image-jobs",
    results: str = "image-results",
) -> None:
    """Print the categories and save the picture as classified.jpg."""
    try:
        result = asyncio.run(classify(image, brokers, jobs, results))
    except JobRefused as error:
        sys.exit(f"{error.code}: {error.message}")
    for category in result.categories:
        print(f"{category.score:.5f}  {category.name}")
    if result.image is not None:  # it may have been too large for the topic
        Path("classified.jpg").write_bytes(result.image)


if __name__ == "__main__":
    main(*sys.argv[1:])
