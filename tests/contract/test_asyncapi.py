"""The AsyncAPI document is valid, complete, and names what is there."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.support.paths import ROOT
from tests.support.schemas import SCHEMAS
from worker import __version__
from worker.contract.headers import JOB_OPTIONS
from worker.settings import KafkaSettings, RetrySettings

DOCUMENT: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text("utf-8"))
SPECIFICATION = ROOT / "tests/data/asyncapi/asyncapi-3.0.0.schema.json"


@pytest.fixture(scope="module")
def asyncapi() -> Draft7Validator:
    return Draft7Validator(json.loads(SPECIFICATION.read_text("utf-8")))


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def resolve(reference: str) -> object:
    file, _, pointer = reference.partition("#")
    target: Any = json.loads((SCHEMAS / file).read_text("utf-8")) if file else DOCUMENT
    for part in filter(None, pointer.split("/")):
        target = target[part]
    return target


def test_it_is_valid_asyncapi(asyncapi: Draft7Validator) -> None:
    asyncapi.validate(DOCUMENT)


def test_the_specification_would_object_to_mistakes(asyncapi: Draft7Validator) -> None:
    for path, value in (
        (("operations", "receiveJob", "action"), "subscribe"),
        (("channels", "jobs", "topic"), "image-jobs"),
        (("components", "messages", "result", "headers"), 5),
    ):
        wrong = deepcopy(DOCUMENT)
        node = wrong
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = value
        assert not asyncapi.is_valid(wrong), path


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    for reference in found:
        assert resolve(reference), reference
    files = {reference.partition("#")[0] for reference in found} - {""}
    assert {file.removeprefix("./") for file in files} == {
        path.name for path in SCHEMAS.glob("*.schema.json")
    }


def test_raw_images_have_the_options_of_a_job_as_headers() -> None:
    headers = DOCUMENT["components"]["messages"]["jobRawImage"]["headers"]["properties"]
    assert set(JOB_OPTIONS) == headers.keys() - {"content-type", "correlation-id", "traceparent"}


def test_addresses_are_the_default_topics() -> None:
    kafka = KafkaSettings()
    addresses = {name: channel["address"] for name, channel in DOCUMENT["channels"].items()}
    assert addresses == {
        "jobs": kafka.jobs_topic,
        "results": kafka.results_topic,
        "deadLetters": kafka.dead_letters_topic,
        "retries": f"{kafka.jobs_topic}-retry-{{delay}}",
    }


def test_the_delays_of_retry_topics_are_written_as_the_document_says() -> None:
    channel = DOCUMENT["channels"]["retries"]
    delays = channel["parameters"]["delay"]["examples"]
    topics = RetrySettings(delays=tuple(delays)).topics(KafkaSettings().jobs_topic)
    assert list(topics) == [channel["address"].format(delay=delay) for delay in delays]


def test_its_version_is_the_workers() -> None:
    assert DOCUMENT["info"]["version"] == __version__
