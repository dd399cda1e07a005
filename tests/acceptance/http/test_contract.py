"""Requests made up from the OpenAPI document, good and bad: every answer is one that it names."""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from hypothesis import HealthCheck, assume, settings
from schemathesis.checks import not_a_server_error, positive_data_acceptance
from schemathesis.specs.openapi.checks import negative_data_rejection

from tests.support.harness import Worker
from tests.support.http_client import ask, classify
from worker.http import server

SCHEMA = schemathesis.openapi.from_path(server.OPENAPI)


@SCHEMA.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_those_of_the_document(case: schemathesis.Case[Any], service: Worker) -> None:
    # Tests leave the machine alone, and the document's example has a public address.
    assume("//example.org" not in repr(case.body))

    # That a text is Base64 of an image is beyond what a schema can say, and a request whose
    # deadline has passed is rightly answered with a 504.
    excluded = [positive_data_acceptance, not_a_server_error]
    if case.media_type == "multipart/form-data":
        # A form holds text alone: made into one, a wrong value may become a right one, as an empty
        # array becomes no field. test_uploads.py has what is refused.
        excluded.append(negative_data_rejection)
    response = case.call_and_validate(
        base_url=f"http://127.0.0.1:{service.port}",
        excluded_checks=excluded,
        timeout=30,
    )
    assert response.status_code != 500


def test_document_is_served(service: Worker) -> None:
    response = ask(service.port, "GET", "/openapi.json")

    assert response.headers["content-type"].startswith("application/json")
    assert response.body == server.OPENAPI.read_bytes()


def test_example_of_the_document_works(service: Worker) -> None:
    document = ask(service.port, "GET", "/openapi.json").json
    operation = document["paths"]["/image-classification"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]

    response = classify(service.port, json.dumps(examples["base64"]["value"]).encode())

    assert response.status == 200
    assert len(response.json["result"]["categories"]) == 3
