"""What the job schema accepts the worker accepts, what it refuses the worker refuses."""

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.support.schemas import golden, schema, validator
from worker.contract.headers import JOB_OPTIONS
from worker.contract.job_options import MAX_DEADLINE_MS, MAX_JOB_ID
from worker.contract.parsing import MAX_URL, parse_job
from worker.contract.records import Record
from worker.errors import JobError

GOLDEN_JOBS = golden("jobs")
VALID = list(GOLDEN_JOBS["valid"].items())
INVALID = list(GOLDEN_JOBS["invalid"].items())


def record(value: bytes) -> Record:
    return Record("image-jobs", 0, 0, 0, None, value, ())


def accepted(value: bytes) -> bool:
    try:
        parse_job(record(value))
    except JobError:
        return False
    return True


@pytest.mark.parametrize(("name", "job"), VALID)
def test_valid_jobs_are_valid_to_both(name: str, job: object) -> None:
    validator("job").validate(job)
    assert accepted(json.dumps(job).encode()), name


@pytest.mark.parametrize(("name", "case"), INVALID)
def test_invalid_jobs_are_invalid_to_both(name: str, case: dict[str, Any]) -> None:
    assert not validator("job").is_valid(case["job"]), name
    with pytest.raises(JobError) as caught:
        parse_job(record(json.dumps(case["job"]).encode()))
    assert (caught.value.reason.label, str(caught.value)) == (case["reason"], case["message"])


def test_the_schemas_own_examples_are_accepted() -> None:
    examples = schema("job")["examples"]
    for job in examples:
        validator("job").validate(job)
        assert accepted(json.dumps(job).encode())
    assert len(examples) >= 4


def test_the_schemas_limits_are_the_workers() -> None:
    properties = schema("job")["properties"]
    assert properties["image"]["then"]["maxLength"] == MAX_URL
    assert properties["jobId"]["maxLength"] == MAX_JOB_ID
    assert properties["deadlineMs"]["maximum"] == MAX_DEADLINE_MS


def test_the_schema_names_the_headers_of_raw_images() -> None:
    (named,) = re.findall(r"the options are the headers ([\w, -]+)\.", schema("job")["description"])
    assert tuple(re.split(", | and ", named)) == JOB_OPTIONS


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
whole = st.integers(-2, 9) | st.sampled_from([0.0, 1.0, 2.5, 1e30, 2**64, 2**70])
images = (
    st.text(alphabet=" \t\r\n\u00a0\u2003A", max_size=4)
    | st.builds(lambda before, after: "h" * before + "://" + after, st.integers(0, 40), st.text())
    | st.integers(MAX_URL - 8, MAX_URL + 1).map(lambda length: "http://".ljust(length, "a"))
)
job_ids = st.integers(MAX_JOB_ID - 1, MAX_JOB_ID + 1).map(lambda length: "é" * length)
deadlines = st.sampled_from([-0.001, 0, MAX_DEADLINE_MS, MAX_DEADLINE_MS + 1, 1e18])
parameters = st.dictionaries(st.sampled_from(["topK", "topk"]), whole | anything)
jobs = st.fixed_dictionaries(
    {},
    optional={
        "image": images | anything,
        "inferenceParams": parameters | anything,
        "topK": whole | anything,
        "topk": whole | anything,
        "visualize": st.booleans() | anything,
        "jobId": job_ids | anything,
        "deadlineMs": deadlines | anything,
        "extra": anything,
    },
)


def contradicts_itself(document: object) -> bool:
    """Whether a job says two numbers of categories, which a schema cannot compare."""
    places = [document]
    if isinstance(document, dict):
        places.append(document.get("inferenceParams"))
    said = [
        place[name]
        for place in places
        if isinstance(place, dict)
        for name in ("topK", "topk")
        if place.get(name) is not None
    ]
    return any(one != said[0] for one in said)


@given(jobs | anything)
@example({"image": "h" * 29 + "://" + "a" * MAX_URL})
@example({"image": "h" * 30 + "://" + "a" * MAX_URL})
@example({"image": "\x1c"})
@example({"image": "\u2003"})
@example({"image": "A", "topk": True})
@example({"image": "A", "deadlineMs": False})
def test_worker_and_schema_agree_on_any_document(document: object) -> None:
    assume(not contradicts_itself(document))
    value = json.dumps(document).encode()
    # As orjson reads it: a whole number beyond 64 bits is a float to it.
    assert accepted(value) == validator("job").is_valid(orjson.loads(value))
