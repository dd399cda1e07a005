"""Every way in which a record can be a job, and each of the ways in which it can fail to be one."""

import json
from dataclasses import replace

import pytest

from worker.contract.job_options import MAX_JOB_ID
from worker.contract.jobs import EncodedImage, RawImage, UrlImage
from worker.contract.parsing import MAX_URL, job_from_object, parse_job, recover_job_id
from worker.contract.records import Record
from worker.errors import JobError, Reason, Stage
from worker.image_formats import MEDIA_TYPES


def record(value: object, *headers: tuple[str, bytes]) -> Record:
    encoded = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Record("image-jobs", 3, 42, 1_795_486_969_572, b"key", encoded, headers)


def refused(value: object, *headers: tuple[str, bytes]) -> tuple[Reason, str]:
    with pytest.raises(JobError) as caught:
        parse_job(record(value, *headers))
    assert not caught.value.transient
    assert caught.value.as_failure().stage is Stage.PARSE
    return caught.value.reason, str(caught.value)


def test_a_job_with_every_field() -> None:
    job = parse_job(
        record(
            {
                "image": "https://example.org/cat.jpg",
                "inferenceParams": {"topK": 3, "later": 1},
                "visualize": False,
                "jobId": "a-42",
                "deadlineMs": 1_795_486_969_572,
                "unknown": {"is": "ignored"},
            }
        )
    )
    assert job.image == UrlImage("https://example.org/cat.jpg")
    assert (job.job_id, job.top_k, job.visualize) == ("a-42", 3, False)
    assert job.deadline == 1_795_486_969.572


def test_only_image_is_required_and_null_stands_for_absent() -> None:
    nulls = dict.fromkeys(("inferenceParams", "topk", "visualize", "jobId", "deadlineMs"))
    for body in ({"image": "QUJD"}, {"image": "QUJD", **nulls}):
        job = parse_job(record(body))
        assert job.image == EncodedImage("QUJD")
        assert (job.job_id, job.top_k, job.visualize, job.deadline) == (None, None, None, None)


def test_of_a_repeated_field_the_last_one_counts() -> None:
    assert parse_job(record(b'{"image": "QQ==", "image": "Qg=="}')).image == EncodedImage("Qg==")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"topk": 2}, 2),
        ({"topK": 2}, 2),
        ({"inferenceParams": {"topk": 2}}, 2),
        ({"topk": 2, "topK": 2.0, "inferenceParams": {"topK": 2, "topk": 2}}, 2),
        ({"topk": 2, "inferenceParams": {"topK": None}}, 2),
        ({"inferenceParams": {"topK": 5.0}}, 5),
    ],
)
def test_top_k_has_two_spellings_in_two_places(body: dict[str, object], expected: int) -> None:
    top_k = job_from_object({"image": "QUJD", **body}).top_k
    assert top_k == expected
    assert type(top_k) is int


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"topk": 2, "inferenceParams": {"topK": 7}},
            "field 'inferenceParams.topK' says 7, but field 'topk' says 2",
        ),
        ({"topk": 2, "topK": 3}, "field 'topK' says 3, but field 'topk' says 2"),
        ({"topk": 2, "topK": 2.0**64}, "field 'topK' says 2147483647, but field 'topk' says 2"),
        (
            {"inferenceParams": {"topk": 2, "topK": 1}},
            "field 'inferenceParams.topK' says 1, but field 'inferenceParams.topk' says 2",
        ),
    ],
)
def test_top_k_that_contradicts_itself(body: dict[str, object], message: str) -> None:
    fault = refused({"image": "QUJD", **body})
    assert fault == (Reason.WRONG_FIELD, f"{message}; say it once, or alike")


def test_headers_of_a_raw_image_that_contradict_each_other() -> None:
    kind = ("content-type", b"image/jpeg")
    fault = refused(b"\xff\xd8", kind, ("top-k", b"2"), ("topK", b"3"))
    assert fault == (
        Reason.WRONG_FIELD,
        "header 'top-k' says 2, but header 'topK' says 3; say it once, or alike",
    )
    job = parse_job(record(b"\xff\xd8", kind, ("top-k", b"2"), ("topk", b"2")))
    assert job.top_k == 2


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("http://h/x", UrlImage("http://h/x")),
        ("  HTTPS://h/x\n", UrlImage("HTTPS://h/x")),
        ("ftp://h/x", UrlImage("ftp://h/x")),
        ("data:image/png;base64,QUJD", EncodedImage("data:image/png;base64,QUJD")),
        *(
            (text, EncodedImage(text))
            for text in (
                "data:text/x-url,http://h/x",
                "data:;a=http://h;base64,QUJD",
                " \n DATA:,a://b",
            )
        ),
        ("data://h/x", EncodedImage("data://h/x")),
        ("xdata:x://h", UrlImage("xdata:x://h")),
        ("QUJD\nREVG\n", EncodedImage("QUJD\nREVG\n")),
    ],
)
def test_image_strings(image: str, expected: object) -> None:
    assert parse_job(record({"image": image})).image == expected


FRAME = b"\0\0\0\1\2"
"""What Confluent's serializers put before a value of schema 258."""


@pytest.mark.parametrize("framed", [b'{"image": "QUJD", "jobId": "a"}', b' {"image":"QUJD"}'])
def test_a_schemas_id_before_json_is_skipped(framed: bytes) -> None:
    assert parse_job(record(FRAME + framed)) == parse_job(record(framed))
    assert recover_job_id(record(FRAME + framed)) == recover_job_id(record(framed))


@pytest.mark.parametrize("rest", [b"\x06cat", b"\0\x0a\x04QUJD", b"[1]", bytes(100)])
def test_what_else_a_schemas_id_announces_is_named(rest: bytes) -> None:
    with pytest.raises(
        JobError, match=r"schema id 258\) and no JSON object follows: Avro"
    ) as error:
        parse_job(record(FRAME + rest))
    assert error.value.reason is Reason.NOT_JSON


def test_a_raw_image_that_begins_with_zero_is_no_framed_value() -> None:
    icon = FRAME + b"{the image}"
    job = parse_job(record(icon, ("content-type", b"image/x-icon")))
    assert job.image == RawImage(icon)


def test_a_framed_document_that_is_damaged_is_named_as_such() -> None:
    with pytest.raises(JobError, match="the value after its schema id is not JSON"):
        parse_job(record(FRAME + b'{"image": '))


def test_what_could_not_be_read_is_refused_with_the_reason_given() -> None:
    unreadable = replace(record(b"{}"), unreadable="its batch is damaged")
    with pytest.raises(JobError, match=r"^its batch is damaged$") as error:
        parse_job(unreadable)
    assert error.value.reason is Reason.UNREADABLE


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (
            None,
            Reason.NULL_VALUE,
            "the record has a null value; send a JSON job or an encoded image",
        ),
        (
            b"",
            Reason.EMPTY_VALUE,
            "the record has an empty value; send a JSON job or an encoded image",
        ),
        (
            b'{"image": "\xff"}',
            Reason.NOT_UTF8,
            (
                "the value is not UTF-8 (byte 11); send JSON in UTF-8, "
                "or set the header content-type: image/jpeg if this is a raw image"
            ),
        ),
        (
            [1],
            Reason.NOT_OBJECT,
            "the job is an array; send a JSON object with an 'image' field",
        ),
        (
            b"null",
            Reason.NOT_OBJECT,
            "the job is null; send a JSON object with an 'image' field",
        ),
        (
            {},
            Reason.MISSING_FIELD,
            "field 'image' is missing: give a URL, Base64 or a data: URI",
        ),
        (
            {"image": None},
            Reason.MISSING_FIELD,
            "field 'image' is null: give a URL, Base64 or a data: URI",
        ),
        (
            {"image": " \t\r\n"},
            Reason.WRONG_FIELD,
            "field 'image' is empty: give a URL, Base64 or a data: URI",
        ),
        (
            {"image": ["QUJD"]},
            Reason.WRONG_FIELD,
            "field 'image' must be a string (URL, Base64 or data: URI), not an array",
        ),
        (
            {"image": "http://h/" + "a" * MAX_URL},
            Reason.BAD_URL,
            "the URL has 8201 characters; at most 8192 are accepted",
        ),
        (
            {"image": "QUJD", "inferenceParams": 5},
            Reason.WRONG_FIELD,
            "field 'inferenceParams' must be an object, not 5",
        ),
        (
            {"image": "QUJD", "inferenceParams": {"topK": 0}},
            Reason.WRONG_FIELD,
            "field 'inferenceParams.topK' must be a whole number from 1 up, not 0",
        ),
        (
            {"image": "QUJD", "inferenceParams": {"topK": 1}, "topk": 2.5},
            Reason.WRONG_FIELD,
            "field 'topk' must be a whole number from 1 up, not 2.5",
        ),
        (
            {"image": "QUJD", "topk": True},
            Reason.WRONG_FIELD,
            "field 'topk' must be a whole number from 1 up, not true",
        ),
        (
            {"image": "QUJD", "visualize": "no"},
            Reason.WRONG_FIELD,
            "field 'visualize' must be true or false, not \"no\"",
        ),
        (
            {"image": "QUJD", "jobId": 0},
            Reason.WRONG_FIELD,
            "field 'jobId' must be a string, not 0",
        ),
        (
            {"image": "QUJD", "jobId": "j" * (MAX_JOB_ID + 1)},
            Reason.WRONG_FIELD,
            "field 'jobId' has 513 characters; at most 512 are accepted",
        ),
        (
            {"image": "QUJD", "deadlineMs": -1},
            Reason.WRONG_FIELD,
            "field 'deadlineMs' must be milliseconds since 1970-01-01 UTC, not -1",
        ),
        (
            {"image": "QUJD", "deadlineMs": 1_795_486_969_572_000},
            Reason.WRONG_FIELD,
            "field 'deadlineMs' must be milliseconds since 1970-01-01 UTC, not 1795486969572000",
        ),
        (
            {"image": "QUJD", "visualize": "x" * 200},
            Reason.WRONG_FIELD,
            "field 'visualize' must be true or false, not \"" + "x" * 79 + "…",
        ),
    ],
)
def test_each_fault_of_a_value_has_its_own_message(
    value: object, reason: Reason, message: str
) -> None:
    assert refused(value) == (reason, message)


def test_what_is_not_json_is_told_where_it_stops_being_json() -> None:
    reason, message = refused(b"image=cat.jpg")
    assert reason is Reason.NOT_JSON
    assert message.startswith("the value is not JSON: ")
    assert message.endswith("line 1 column 1 (char 0)")


@pytest.mark.parametrize("opening", [b"[", b'{"image":'])
def test_nesting_without_end_is_refused_like_any_other_text(opening: bytes) -> None:
    reason, message = refused(opening * 200_000)
    assert reason is Reason.NOT_JSON
    assert message.startswith("the value is not JSON: depth limit exceeded")


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"Application/JSON; charset=utf-8", b"application/vnd.acme+json", b""],
)
def test_content_types_of_json_jobs(content_type: bytes) -> None:
    job = parse_job(record({"image": "QUJD"}, ("Content-Type", content_type)))
    assert job.image == EncodedImage("QUJD")


def test_other_content_types_are_refused() -> None:
    subtypes = "|".join(each.removeprefix("image/") for each in MEDIA_TYPES)
    assert subtypes.startswith("jpeg|png|")
    assert refused({"image": "QUJD"}, ("content-type", b"text/xml")) == (
        Reason.CONTENT_TYPE,
        (
            "content-type 'text/xml' is not accepted; "
            f"use application/json, or image/{subtypes} for a raw image"
        ),
    )


def test_raw_image_with_its_options_as_headers() -> None:
    job = parse_job(
        record(
            b"\xff\xd8jpeg",
            ("content-type", b"image/jpeg"),
            ("job-id", b"raw-1"),
            ("TOP_K", b"2"),
            ("visualize", b"False"),
            ("deadlineMs", b"1500"),
        )
    )
    assert job.image == RawImage(b"\xff\xd8jpeg")
    assert (job.job_id, job.top_k, job.visualize, job.deadline) == ("raw-1", 2, False, 1.5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("top-k", b"many", "header 'top-k' must be a whole number from 1 up, not \"many\""),
        ("visualize", b"", "header 'visualize' must be true or false, not \"\""),
        (
            "deadline-ms",
            b"[1]",
            "header 'deadline-ms' must be milliseconds since 1970-01-01 UTC, not an array",
        ),
        ("job-id", b"j" * 600, "header id has 600 characters; at most 512 are accepted"),
    ],
)
def test_wrong_option_headers(name: str, value: bytes, message: str) -> None:
    fault = refused(b"\xff\xd8", ("content-type", b"image/jpeg"), (name, value))
    assert fault == (Reason.WRONG_FIELD, message)


def test_option_headers_say_nothing_about_a_json_job_but_its_name() -> None:
    job = parse_job(record({"image": "QUJD"}, ("top-k", b"nonsense"), ("job-id", b"from-header")))
    assert (job.job_id, job.top_k) == ("from-header", None)


def test_cloudevents_binary_mode() -> None:
    attributes = (("ce_specversion", b"1.0"), ("ce_id", b"event-7"))
    raw = parse_job(record(b"\x89PNG", *attributes, ("ce_datacontenttype", b"image/png")))
    assert (raw.image, raw.job_id) == (RawImage(b"\x89PNG"), "event-7")
    named = parse_job(record({"image": "QUJD", "jobId": "mine"}, *attributes))
    assert named.job_id == "mine"


def test_cloudevents_structured_mode_is_refused_with_the_remedy() -> None:
    assert refused({"specversion": "1.0"}, ("content-type", b"application/cloudevents+json")) == (
        Reason.CONTENT_TYPE,
        (
            "CloudEvents structured mode is not accepted; use binary mode: "
            "the job as the value, the event's attributes as ce_ headers"
        ),
    )


def test_headers_that_are_null_or_not_text_fail_no_job() -> None:
    odd: tuple[tuple[str, bytes], ...] = (("a", b"\xff"), ("b", None))  # type: ignore[assignment]
    assert parse_job(record({"image": "QUJD"}, *odd)).image == EncodedImage("QUJD")


@pytest.mark.parametrize(
    ("value", "headers", "expected"),
    [
        ({"jobId": "a"}, (), "a"),
        ({"jobId": "a"}, (("job-id", b"b"),), "a"),
        ({"jobId": 7}, (("job-id", b"b"),), "b"),
        ({"jobId": "j" * 513}, (), None),
        (b"not json", (("ce_id", b"c"),), "c"),
        (b"\xff\xd8", (("content-type", b"image/jpeg"), ("job-id", b"b")), "b"),
        ([1], (), None),
        (None, (), None),
    ],
)
def test_a_refused_record_is_still_answered_by_name(
    value: object, headers: tuple[tuple[str, bytes], ...], expected: str | None
) -> None:
    assert recover_job_id(record(value, *headers)) == expected
