"""Logs are structured, in one form for all libraries, without secrets or image data."""

import base64
import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
import structlog
from pydantic import SecretStr

from worker.clock import Clock
from worker.logs import MAX_TRACE, configure, get_logger
from worker.settings import LogSettings

Level = Literal["debug", "info", "warning", "error"]
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    names = (None, "aiokafka", "aiohttp", "asyncio")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = logging.getLogger().handlers
    yield
    logging.captureWarnings(capture=False)
    logging.getLogger().handlers = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


def as_json(level: Level = "info") -> Lines:
    stream = io.StringIO()
    configure(LogSettings(level=level, format="json"), stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def logged(**fields: object) -> Mapping[str, Any]:
    lines = as_json()
    structlog.get_logger("worker.tests").info("something_happened", **fields)
    (line,) = lines()
    return line


def fail(message: str) -> None:
    raise ValueError(message)


def test_an_event_is_a_json_object_on_a_line() -> None:
    before = datetime.now(UTC)
    line = logged(topic="image-jobs", partition=3, share=0.5, ready=True, error=None)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["timestamp"].endswith("Z")
    assert before <= datetime.fromisoformat(line["timestamp"]) <= datetime.now(UTC)
    del line["timestamp"]  # type: ignore[attr-defined]
    assert line == {
        "level": "info",
        "event": "something_happened",
        "logger": "worker.tests",
        "topic": "image-jobs",
        "partition": 3,
        "share": 0.5,
        "ready": True,
        "error": None,
    }


def test_what_aiokafka_repeats_is_left_out_for_a_while() -> None:
    times = iter([0.0, 0.1, 0.2, 9.9, 10.0, 10.1, 10.2])
    stream = io.StringIO()
    configure(LogSettings(format="json"), stream, Clock(lambda: next(times)))
    kafka, ours = logging.getLogger("aiokafka.conn"), logging.getLogger("worker.other")
    for _ in range(6):
        kafka.error("Unable connect to node with id %s", 1)
        ours.error("said_again")
    kafka.error("Unable connect to node with id %s", 2)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = [line for line in lines if line["event"] == "aiokafka_message"]
    assert [(line["message"][-1], line.get("left_out")) for line in told] == [
        ("1", None),
        ("1", 3),
        ("2", None),
    ]
    assert [line["event"] for line in lines].count("said_again") == 6


def test_levels() -> None:
    lines = as_json("warning")
    log = structlog.get_logger("worker.tests")
    log.debug("not_seen")
    log.info("not_seen")
    log.warning("seen")
    logging.getLogger("worker.other").info("not_seen")
    assert [line["event"] for line in lines()] == ["seen"]


def test_context_travels_with_events() -> None:
    lines = as_json()
    with structlog.contextvars.bound_contextvars(slot=1):
        structlog.get_logger("worker.tests").info("slot_started")
    assert lines()[0]["slot"] == 1


def test_records_of_libraries_come_out_in_the_same_form() -> None:
    lines = as_json()
    logging.getLogger("aiokafka.consumer.group_coordinator").warning("Heartbeat %s", "failed")
    logging.getLogger().warning("from nowhere")
    logging.getLogger("worker.kafka").info("partitions_assigned", extra={"partitions": [1, 2]})
    picked = [
        {name: line[name] for name in ("event", "message", "partitions", "logger") if name in line}
        for line in lines()
    ]
    assert picked == [
        {
            "event": "aiokafka_message",
            "message": "Heartbeat failed",
            "logger": "aiokafka.consumer.group_coordinator",
        },
        {"event": "root_message", "message": "from nowhere", "logger": "root"},
        {"event": "partitions_assigned", "partitions": [1, 2], "logger": "worker.kafka"},
    ]


@pytest.mark.parametrize(
    ("level", "expected"), [("info", ["warning"]), ("debug", ["info", "warning"])]
)
def test_libraries_speak_up_only_about_what_matters(level: Level, expected: list[str]) -> None:
    lines = as_json(level)
    for name in ("aiokafka.conn", "aiohttp.access", "asyncio"):
        library = logging.getLogger(name)
        library.debug("chatter")
        library.info("chatter")
        library.warning("trouble")
    assert [line["level"] for line in lines()] == expected * 3


def test_warnings_are_logged() -> None:
    lines = as_json()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("this goes away", FutureWarning, stacklevel=1)
    (line,) = lines()
    assert (line["event"], line["level"]) == ("python_warning", "warning")
    assert "FutureWarning: this goes away" in line["message"]


def test_exceptions_are_rendered_without_the_values_of_variables() -> None:
    lines = as_json()
    hidden = "value-of-a-" + "variable"
    try:
        fail(f"https://me:{hidden}@host/x")
    except ValueError:
        structlog.get_logger("worker.tests").exception("it_failed")
    (line,) = lines()
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert line["exception"].endswith("ValueError: https://[redacted]@host/x")
    assert hidden not in json.dumps(line)


def test_of_a_long_trace_the_end_is_kept() -> None:
    lines = as_json()
    try:
        fail("words " * MAX_TRACE + "the end")
    except ValueError:
        structlog.get_logger("worker.tests").exception("it_failed")
    (line,) = lines()
    assert len(line["exception"]) == MAX_TRACE
    assert line["exception"].endswith("the end")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("password", "hunter2", "[redacted]"),
        ("sasl_password", None, None),
        ("Authorization", b"Bearer x", "[redacted]"),
        ("settings", {"sasl": {"client_secret": "x"}}, {"sasl": {"client_secret": "[redacted]"}}),
        ("value", SecretStr("hunter2"), "SecretStr('**********')"),
        ("url", "https://me:pw@host/cat.jpg", "https://[redacted]@host/cat.jpg"),
        (
            "url",
            "https://bucket/cat.jpg?X-Amz-Signature=ab12&x=1#top",
            "https://bucket/cat.jpg?[redacted]#top",
        ),
        ("error", ValueError("GET http://h/a?sig=1 failed"), "GET http://h/a?[redacted] failed"),
    ],
)
def test_secrets_are_redacted(name: str, value: object, expected: object) -> None:
    assert logged(**{name: value})[name] == expected


JPEG = bytes(range(256)) * 40


@pytest.mark.parametrize(
    "value",
    [
        JPEG,
        bytearray(JPEG),
        memoryview(JPEG),
        base64.b64encode(JPEG).decode(),
        base64.urlsafe_b64encode(JPEG).decode(),
        base64.encodebytes(JPEG).decode(),
        repr(base64.encodebytes(JPEG)),
        "data:image/jpeg;base64," + base64.b64encode(JPEG).decode(),
        json.dumps({"image": base64.encodebytes(JPEG).decode()}),
        {"jobs": [{"image": base64.b64encode(JPEG).decode()}]},
        ValueError(base64.b64encode(JPEG).decode()),
    ],
)
def test_image_data_never_gets_into_logs(value: object) -> None:
    text = json.dumps(logged(value=value))
    assert len(text) < 700
    assert re.search(r"[A-Za-z0-9+/_-]{64}", text) is None


def test_digests_and_ids_are_no_image_data() -> None:
    digest = "sha256:" + "ab" * 32
    assert logged(value=digest)["value"] == digest


def test_long_values_are_shortened_and_say_how_long_they_were() -> None:
    line = logged(text="some words " * 1000, many=list(range(1000)), deep=[[[[[["x"]]]]]])
    assert line["text"].endswith("… [11000 characters]")
    assert len(line["text"]) < 550
    assert line["many"] == list(range(50))
    assert line["deep"] == [[[["[['x']]"]]]]


def test_no_value_can_break_a_line() -> None:
    line = logged(surrogate="\ud800", large=2**70, newline="a\nb", keys={1: "x"}, other=object)
    assert line["surrogate"] == "\ud800"
    assert line["large"] == 2**70
    assert line["newline"] == "a\nb"
    assert line["keys"] == {"1": "x"}
    assert line["other"] == "<class 'object'>"


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="console"))
    structlog.get_logger("worker.tests").info("worker_started", password="hunter2", slots=2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[info     \] worker_started", captured.err)
    assert "slots=2" in captured.err
    assert "hunter2" not in captured.err
    assert "\x1b" not in captured.err


def test_lines_on_a_terminal_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    configure(LogSettings(format="console"), terminal)
    structlog.get_logger("worker.tests").info("worker_started", password="hunter2", slots=2)
    logging.getLogger("other").warning("careful")
    first, second = terminal.getvalue().splitlines()
    head = r"\d\d:\d\d:\d\d \[%s\] "
    assert re.fullmatch(rf"{head % 'info'}worker_started +password=\S+ slots=2", first)
    assert re.fullmatch(rf"{head % 'warning'}other_message +\[other\] message=careful", second)


def test_configuring_again_replaces_rather_than_adds() -> None:
    as_json()
    lines = as_json()
    structlog.get_logger("worker.tests").info("once")
    assert len(lines()) == 1
    assert len(logging.getLogger().handlers) == 1


def test_within_another_program_events_are_records_of_the_standard_library(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.reset_defaults()
    caplog.set_level(logging.WARNING)  # Python's own default, which other tests may have changed
    log = get_logger("worker.tests")
    log.info("nobody_asked")
    log.warning("something_happened", slot=3)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("worker.tests", "WARNING")
    assert (record.getMessage(), record.__dict__["slot"]) == ("something_happened", 3)
    assert capsys.readouterr() == ("", "")
    lines = as_json()
    log.info("something_happened", slot=4)
    (line,) = lines()
    assert (line["event"], line["slot"], line["logger"]) == (
        "something_happened",
        4,
        "worker.tests",
    )
