"""The OpenAPI document: valid, and saying the same as the code and the schemas beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.schemas import schema
from worker import __version__
from worker.contract.headers import JOB_ID, JOB_OPTIONS, fold_name
from worker.errors import Reason
from worker.http import server
from worker.http.classify import PATH
from worker.image_formats import ImageFormat

DOCUMENT: dict[str, Any] = json.loads(Path(server.OPENAPI).read_text("utf-8"))
OPERATION = DOCUMENT["paths"]["/image-classification"]["post"]
REQUEST_BODY = OPERATION["requestBody"]["content"]["application/json"]

# A record may have no value: what only Kafka can send wrong.
ONLY_KAFKA = {Reason.NULL_VALUE}


def resolved(node: Any) -> Any:
    """The document's schema `node` with its references to components put in."""
    if isinstance(node, list):
        return [resolved(item) for item in node]
    if not isinstance(node, dict):
        return node
    own = {key: resolved(value) for key, value in node.items() if key != "$ref"}
    if "$ref" not in node:
        return own
    target = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**resolved(target), **own}


def test_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert DOCUMENT["openapi"].startswith("3.1.")


def test_version_is_the_workers() -> None:
    assert DOCUMENT["info"]["version"] == __version__


def test_statuses_are_those_of_the_reasons() -> None:
    statuses = {str(reason.status) for reason in Reason if reason not in ONLY_KAFKA}

    # No job is refused for want of a token: it is not read.
    assert set(OPERATION["responses"]) == {"200", "401"} | statuses


def test_a_token_is_asked_for_where_the_settings_say_so() -> None:
    secured = {
        path
        for path, operations in DOCUMENT["paths"].items()
        for operation in operations.values()
        if operation.get("security") == [{}, {"token": []}]
    }
    assert secured == {PATH, server.METRICS}
    assert secured.isdisjoint(server.OPEN_PATHS)
    assert DOCUMENT["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def shape(node: Any) -> Any:
    """A schema without its prose, and without how long a URL may be."""
    prose = {"title", "description", "examples", "if", "then", "$schema", "$id"}
    if not isinstance(node, dict):
        return node
    properties = {name: shape(one) for name, one in node.get("properties", {}).items()}
    rest = {key: shape(one) for key, one in node.items() if key not in prose | {"properties"}}
    return {**rest, "properties": properties} if properties else rest


def test_request_has_the_fields_of_a_job() -> None:
    assert shape(resolved(REQUEST_BODY["schema"])) == shape(schema("job"))


def test_request_names_the_formats_that_are_read() -> None:
    described = REQUEST_BODY["schema"]["$ref"].removeprefix("#/components/schemas/")
    image = DOCUMENT["components"]["schemas"][described]["properties"]["image"]
    *most, last = ImageFormat
    assert f"{', '.join(most)} and {last} are read." in image["description"]


def test_response_has_the_fields_of_a_result() -> None:
    kafka = schema("result")
    expected = shape(kafka["properties"]["result"])
    expected["properties"]["categories"]["items"] = shape(kafka["$defs"]["category"])
    # Only a topic has a limit that a picture can be too large for.
    del expected["properties"]["imageOmitted"], expected["not"]

    assert shape(resolved(DOCUMENT["components"]["schemas"]["Success"]))["properties"][
        "result"
    ] == (expected)


@pytest.mark.parametrize(
    "names",
    [
        [parameter["name"] for parameter in OPERATION["parameters"]],
        [
            name
            for name in DOCUMENT["components"]["schemas"]["Form"]["properties"]
            if name != "file"
        ],
    ],
    ids=["query", "form"],
)
def test_query_and_form_have_the_options_of_a_job(names: list[str]) -> None:
    # A job's id has no effect over HTTP.
    assert sorted(map(fold_name, names)) == sorted(
        fold_name(option) for option in JOB_OPTIONS if option != JOB_ID
    )


@pytest.mark.parametrize("name", list(REQUEST_BODY["examples"]))
def test_examples_of_requests(name: str) -> None:
    example = REQUEST_BODY["examples"][name]["value"]

    jsonschema.Draft202012Validator(resolved(REQUEST_BODY["schema"])).validate(example)


def test_example_of_the_response() -> None:
    content = OPERATION["responses"]["200"]["content"]["application/json"]

    jsonschema.Draft202012Validator(resolved(content["schema"])).validate(content["example"])
