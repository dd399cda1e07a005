"""What `POST /image-classification` answers: the shape of PaddleX's service, and clear failures."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import socket
import uuid
from collections.abc import Iterator
from functools import partial

import pytest
from PIL import Image

from demo.images import photographs
from tests.support.harness import Worker, until
from tests.support.http_client import JSON, ask, classify
from tests.support.images import base64_of, colour_png, job
from tests.support.loopback import ImageServer
from tests.support.paths import IMAGES
from tests.support.workers import MakeService

CHELSEA = next(one for one in photographs() if one.name == "chelsea")
PNG = colour_png("#336699")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where nobody listens: bound, so that nobody else can."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_success_has_the_shape_of_the_reference(service: Worker) -> None:
    response = classify(service.port, job(CHELSEA.path.read_bytes()))

    assert response.status == 200
    assert response.headers["content-type"].startswith("application/json")
    answer = response.json
    assert answer.keys() == {"logId", "errorCode", "errorMsg", "result"}
    assert str(uuid.UUID(answer["logId"])) == answer["logId"]
    assert (answer["errorCode"], answer["errorMsg"]) == (0, "Success")
    assert answer["result"].keys() == {"categories", "image"}
    categories = answer["result"]["categories"]
    assert len(categories) == 5
    assert all(category.keys() == {"id", "name", "score"} for category in categories)
    assert (categories[0]["id"], categories[0]["name"]) == (CHELSEA.class_id, CHELSEA.label)
    scores = [category["score"] for category in categories]
    assert scores == sorted(scores, reverse=True)


def test_picture_is_a_jpeg_in_base64_without_line_breaks(service: Worker) -> None:
    sent = CHELSEA.path.read_bytes()
    text = classify(service.port, job(sent)).json["result"]["image"]

    picture = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
    assert picture.format == "JPEG"
    assert picture.size == Image.open(io.BytesIO(sent)).size


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 5),
        ({"inferenceParams": {"topK": 3}}, 3),
        ({"inferenceParams": {}}, 5),
        ({"inferenceParams": None}, 5),
        ({"topk": 2}, 2),
        ({"topk": None}, 5),
        ({"topK": 2}, 2),
        ({"inferenceParams": {"topk": 1}}, 1),
        ({"topk": 2, "inferenceParams": {"topK": 2}}, 2),
        ({"topk": 1_000_000}, 1000),
        ({"unknown": [1]}, 5),
    ],
)
def test_number_of_categories(service: Worker, fields: dict[str, object], count: int) -> None:
    response = classify(service.port, job(PNG, **fields))

    assert response.status == 200
    assert len(response.json["result"]["categories"]) == count


def test_no_picture_when_none_is_wanted(service: Worker, small_request: bytes) -> None:
    assert classify(service.port, small_request).json["result"].keys() == {"categories"}


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "empty; send a JSON object"),
        (b"{", 400, "is not JSON"),
        (b'"\xff"', 400, "not UTF-8"),
        (b"[]", 400, "send a JSON object"),
        (b"{}", 422, "'image' is missing"),
        (b'{"image": 5}', 422, "must be a string"),
        (b'{"image": ""}', 422, "'image' is empty"),
        (b'{"image": "%%%%"}', 400, "does not belong in Base64"),
        (b'{"image": "http://"}', 400, "URL"),
        (b'{"image": "ftp://example.org/a.jpg"}', 400, "http"),
        (b'{"image": "http://169.254.169.254/a.jpg"}', 403, "not a public address"),
        (job(b"This is a text and no image."), 415, "send JPEG, PNG"),
        (job((IMAGES / "truncated.jpg").read_bytes()), 422, "send the whole file"),
        (job(PNG, topk=0), 422, "from 1 up"),
        (job(PNG, topk=2, inferenceParams={"topK": 1}), 422, "says 1, but field 'topk' says 2"),
        (job(PNG, topk=-1), 422, "from 1 up"),
        (job(PNG, topk=2.5), 422, "whole number"),
        (job(PNG, topk="5"), 422, "whole number"),
        (job(PNG, topk=True), 422, "whole number"),
        (job(PNG, inferenceParams={"topK": 0}), 422, "inferenceParams.topK"),
        (job(PNG, inferenceParams=[]), 422, "must be an object"),
        (job(PNG, visualize="no"), 422, "true or false"),
        (job(PNG, deadlineMs=1), 504, "deadlineMs has passed"),
        (job("A" * 1_500_000), 413, "bytes"),
    ],
)
def test_bad_requests(service: Worker, body: bytes, status: int, says: str) -> None:
    got, message = classify(service.port, body).failure()

    assert got == status
    assert says in message


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/mixed; boundary=x"])
def test_other_content_types_are_refused(service: Worker, kind: str, small_request: bytes) -> None:
    status, message = classify(service.port, small_request, {"Content-Type": kind}).failure()

    assert status == 415
    assert "use application/json" in message


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/cloudevents+json",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
    ],
)
def test_content_types_that_clients_send(service: Worker, kind: str, small_request: bytes) -> None:
    assert classify(service.port, small_request, {"Content-Type": kind}).status == 200


async def test_image_by_url(service: Worker) -> None:
    # The image's server needs this thread while the answer is waited for.
    async with ImageServer({"/cat.png": CHELSEA.path.read_bytes()}) as server:
        found = await asyncio.to_thread(classify, service.port, job(server.url("/cat.png")))
        missing = await asyncio.to_thread(classify, service.port, job(server.url("/dog.png")))

    assert found.json["result"]["categories"][0]["id"] == CHELSEA.class_id
    assert missing.failure()[0] == 404


def test_url_that_cannot_be_reached(service: Worker, closed_port: int) -> None:
    status, message = classify(service.port, job(f"http://127.0.0.1:{closed_port}/a")).failure()

    assert status == 502
    assert "Connection refused" in message


def test_url_that_never_answers(make_service: MakeService, silent_port: int) -> None:
    service = make_service(WORKER_FETCH__READ_TIMEOUT="0.5")
    service.wait_until_ready()
    status, _ = classify(service.port, job(f"http://127.0.0.1:{silent_port}/a")).failure()

    assert status == 504


def test_compressed_body(service: Worker, small_request: bytes) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}

    assert classify(service.port, gzip.compress(small_request), headers).status == 200


def test_damaged_compression(service: Worker) -> None:
    status, message = classify(
        service.port, b"not gzip", {**JSON, "Content-Encoding": "gzip"}
    ).failure()

    assert status == 400
    assert "is not gzip, as its Content-Encoding says" in message


def test_bodies_that_are_no_text(service: Worker) -> None:
    for body in ('{"image": "é"}'.encode("latin-1"), PNG):
        status, message = classify(service.port, body).failure()

        assert status == 400
        assert message.endswith(
            "; send JSON in UTF-8, or an image file with Content-Type: image/jpeg"
        )


def test_compressed_body_cannot_grow_beyond_the_limit(service: Worker) -> None:
    bomb = gzip.compress(b" " * (64 << 20))

    status, _ = classify(service.port, bomb, {**JSON, "Content-Encoding": "gzip"}).failure()

    assert status == 413


def test_base64_in_lines_and_as_data_uri(service: Worker) -> None:
    text = base64_of(PNG)
    lines = "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))

    for image in (lines, f"data:image/png;base64,{text}"):
        assert classify(service.port, json.dumps({"image": image}).encode()).status == 200


def test_probe_of_the_reference(service: Worker) -> None:
    response = ask(service.port, "GET", "/health")

    assert response.status == 200
    assert response.json.keys() == {"logId", "errorCode", "errorMsg"}
    assert (response.json["errorCode"], response.json["errorMsg"]) == (0, "Healthy")


def test_wrong_method_and_path(service: Worker) -> None:
    response = ask(service.port, "GET", "/image-classification")

    assert response.failure() == (405, "GET is not possible here; use POST")
    assert response.headers["allow"] == "POST"
    assert ask(service.port, "POST", "/classify", b"{}").failure()[0] == 404


def test_each_answer_is_found_in_the_log_by_its_id(service: Worker, small_request: bytes) -> None:
    done = classify(service.port, small_request).json["logId"]
    failed = classify(service.port, b"{}").json["logId"]

    for log_id, event in [(done, "request_done"), (failed, "request_failed")]:
        # The log is written by a thread of its own, which may be later than the answer.
        until(partial(is_logged, service, event, log_id), f"{event} with the answer's id")


def is_logged(service: Worker, event: str, log_id: str) -> bool:
    return log_id in {entry["log_id"] for entry in service.events(event)}
