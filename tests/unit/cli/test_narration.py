"""What is said at a terminal, step by step."""

from __future__ import annotations

import pytest

from worker.cli.narration import WAITS, Narration
from worker.health import Health
from worker.inference.selection import SelectionStep
from worker.logs import configure
from worker.metrics import Metrics
from worker.settings import HttpSettings, LogSettings, Settings


def narration(host: str = "127.0.0.1", *, kafka: bool = False, infer: bool = False) -> Narration:
    configure(LogSettings(format="console"))
    settings = Settings(model="any", http=HttpSettings(host=host, infer=infer))
    return Narration(settings, kafka=kafka)


@pytest.mark.parametrize("columns", [80, 60, 40])
def test_lines_are_wrapped_and_names_and_addresses_are_whole(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    told = narration(kafka=True, infer=True)
    told.listening(8080, 8080)
    told.connecting()
    told.changed(["draining"])
    shown = capsys.readouterr().err
    assert max(map(len, shown.splitlines())) <= max(columns, 52), "the address has 52 cells"
    assert "http://127.0.0.1:8080/image-classification" in shown.split()
    assert {"image-jobs,", "image-results,", "image-jobs-dead-letters"} <= set(shown.split())
    wrapped = [line for line in shown.splitlines() if line.startswith(" " * 9)]
    assert bool(wrapped) == (columns < 80), "below the column of names"


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104 - what is shown instead
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("worker.local", "worker.local"),
    ],
)
def test_the_address_is_one_that_a_browser_opens(
    host: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    narration(host).listening(8080, 8080)
    assert capsys.readouterr().err.splitlines() == [
        f"address  http://{shown}:8080/image-classification",
        f"page     http://{shown}:8080/",
        "waiting for model any ...",
    ]


@pytest.mark.parametrize(("infer", "first"), [(False, "probes  "), (True, "address ")])
def test_beside_kafka_the_page_is_named_where_there_is_one(
    infer: bool, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    narration(kafka=True, infer=infer).listening(8080, 8080)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(first)
    assert "brokers  localhost:9092 (PLAINTEXT)" in lines


def test_probes_are_named_where_they_have_a_port_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    narration().listening(8080, 9090)
    assert capsys.readouterr().err.splitlines()[1:3] == [
        "page     http://127.0.0.1:8080/",
        "probes   http://127.0.0.1:9090/readyz http://127.0.0.1:9090/metrics",
    ]


def test_it_says_what_is_missing_once(capsys: pytest.CaptureFixture[str]) -> None:
    said = narration(kafka=True)
    for reasons in (["not warm", "not assigned"], ["not assigned"], ["not assigned"], []):
        said.changed(reasons)
    said.changed(["not assigned", "draining"])
    said.stopped()
    assert capsys.readouterr().err.splitlines() == [
        "waiting for the model to load, the group to hand out partitions ...",
        "waiting for the group to hand out partitions ...",
        "ready, waiting for jobs on image-jobs; Ctrl-C stops",
        "stopping, once jobs and requests under way are done; Ctrl-C again stops at once",
        "stopped",
    ]


def test_it_says_what_is_measured_and_that_it_is_once(capsys: pytest.CaptureFixture[str]) -> None:
    said = narration()
    said.loading("PP-LCNet_x1_0")
    said.selecting(SelectionStep.WAITING, ["paddle", "onnxruntime"])
    said.selecting(SelectionStep.MEASURING, ["paddle", "onnxruntime"])
    said.selecting(SelectionStep.DONE, ["paddle", "onnxruntime"])
    said.changed([])
    assert capsys.readouterr().err.splitlines() == [
        "waiting for PP-LCNet_x1_0 to load ...",
        "waiting for another worker to measure backends ...",
        "measuring backends: paddle, onnxruntime, once per model and machine",
        "waiting for the predictors to warm up ...",
        "ready; Ctrl-C stops",
    ]


def test_every_reason_of_readiness_has_words() -> None:
    health = Health(1.0, Metrics())
    health.pulling = True
    health.set_publishing(False)
    health.brokers_lost = lambda: True
    reasons = set(health.not_ready())
    for health.selecting in SelectionStep:
        reasons.update(health.not_ready())
    assert reasons == set(WAITS)
