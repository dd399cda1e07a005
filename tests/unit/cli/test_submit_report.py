"""What `submit` prints, where, and in which format."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from worker.cli.options import OutputFormat
from worker.cli.submit_report import AnswerReport
from worker.clock import Clock
from worker.contract.jobs import Category, ModelIdentity
from worker.submit import Encoding, Item, ItemResult

CAT = Item("cat.jpg", Path("cat.jpg"), Encoding.BASE64)
GOOD = ItemResult(
    1,
    CAT,
    "jobs-0-1",
    0,
    None,
    (Category(285, "[red]cat[/red]", 0.93123),),
    0.0123,
    Path("out/0001-cat.jpg"),
    model=ModelIdentity("cats", "sha256:0a", "openvino"),
)
FAILED = ItemResult(
    2, Item("b\udcffd\x1b.jpg", Path("x"), Encoding.RAW), "jobs-0-2", 415, "no image", (), 0.5
)


def report(
    output: OutputFormat | None,
    *answers: ItemResult,
    taken: int = 0,
    terminal: bool = False,
    width: int = 90,
) -> tuple[str, str, int]:
    """What goes to standard output and to standard error, and the number of failures."""
    out, err = io.StringIO(), io.StringIO()
    with AnswerReport(
        output,
        None,
        Console(file=out, width=width, force_terminal=terminal, color_system=None),
        Console(file=err, width=width),
        clock=Clock(iter([0.0, 1.0, *(1.0 + 0.5 * n for n in range(1, 99))]).__next__),
    ) as shown:
        for _ in range(taken or len(answers)):
            shown.take(CAT)
        for answer in answers:
            shown.add(answer)
    return out.getvalue(), err.getvalue(), shown.failed


def test_json_lines_where_there_is_no_terminal() -> None:
    out, err, failed = report(None, GOOD, FAILED)
    good, bad = (json.loads(line) for line in out.splitlines())
    assert good == {
        "input": "cat.jpg",
        "page": None,
        "job": "cat.jpg",
        "way": "base64",
        "id": "jobs-0-1",
        "errorCode": 0,
        "errorMsg": "Success",
        "reason": None,
        "categories": [{"id": 285, "name": "[red]cat[/red]", "score": 0.93123}],
        "latencySeconds": 0.0123,
        "picture": "out/0001-cat.jpg",
        "model": {"name": "cats", "digest": "sha256:0a", "backend": "openvino"},
    }
    assert (bad["errorCode"], bad["errorMsg"], bad["categories"]) == (415, "no image", [])
    assert bad["model"] is None
    assert failed == 1
    assert err.splitlines() == [
        "classify-worker: b�d�.jpg: no image",
        "classify-worker: 2 jobs in 1.0 s, 2.0 jobs/s",
        "classify-worker: 1 of 2 jobs failed: 1 with 415 Unsupported Media Type",
        "classify-worker: 415 Unsupported Media Type, the first: no image (b�d�.jpg)",
        "classify-worker: pictures are in out, as NUMBER-NAME.jpg",
    ]


def test_a_table_on_a_terminal_with_its_head_once() -> None:
    out, err, _ = report(None, GOOD, FAILED, terminal=True)
    assert err == ""
    assert out.count("Sent as") == 1
    row = next(line for line in out.splitlines() if "[red]cat" in line)
    for cell in ("   1  ", "cat.jpg", "base64", "0.93123", "12 ms"):
        assert cell in row
    assert "pictures are in out, as NUMBER-NAME.jpg" in out
    assert "no image" in out
    assert "\x1b.jpg" not in out


def test_rows_that_are_printed_one_by_one_stand_below_each_other() -> None:
    out, _, _ = report(OutputFormat.TABLE, GOOD, FAILED, FAILED)
    rows = [line for line in out.splitlines() if " ms" in line]
    assert len(rows) == 3
    assert len({line.index(" ms") for line in rows}) == 1


@pytest.mark.parametrize("width", [80, 60])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_broken(width: int) -> None:
    label = "hammerhead, hammerhead shark, and what is known as a smooth hammerhead"
    name = "photos/of/fish/a-name-that-is-longer-than-its-column.jpg"
    long = replace(
        GOOD,
        item=Item(name, Path(name), Encoding.BASE64),
        categories=(Category(4, label, 0.5),),
    )
    failed = replace(FAILED, error="the JPEG file is cut off or damaged: send the whole file")
    out, _, _ = report(OutputFormat.TABLE, long, long, failed, width=width)
    shown = out.splitlines()
    assert max(map(len, shown)) <= width
    assert shown.count("photos/of/fish/") == 1
    assert out.count("a-name-that-is-longer-than-its-column.jpg") == 2
    for word in (*label.split(), *str(failed.error).split()):
        assert word in out.split()


def test_csv_has_a_row_for_each_category() -> None:
    out, _, _ = report(OutputFormat.CSV, GOOD, FAILED)
    good, bad = csv.DictReader(io.StringIO(out))
    assert (good["input"], good["rank"], good["picture"]) == ("cat.jpg", "1", "out/0001-cat.jpg")
    assert (good["model"], good["modelDigest"]) == ("cats", "sha256:0a")
    assert (bad["model"], bad["modelDigest"]) == ("", "")
    assert (bad["rank"], bad["errorCode"], bad["error"]) == ("", "415", "no image")


def test_jobs_without_a_result_are_counted_as_such() -> None:
    silent = replace(FAILED, code=None, error="no result within 5 s")
    unread = replace(FAILED, code=None, error="there is no such file", reason="not_found")
    out, err, _ = report(OutputFormat.JSON, silent, silent, FAILED, unread)
    counted = "2 no result, 1 with 415 Unsupported Media Type, 1 not_found"
    assert f"classify-worker: 4 of 4 jobs failed: {counted}\n" in err
    assert [json.loads(line)["reason"] for line in out.splitlines()] == [
        None,
        None,
        None,
        "not_found",
    ]


def test_failures_are_told_by_status_with_the_first_message_of_each() -> None:
    """A worker's result has no reason: the phrase and one message say what went wrong."""
    gone = replace(FAILED, item=CAT, code=404, error="there is no image at the URL")
    more = [replace(gone, error=f"another message {n}") for n in range(3)]
    odd = replace(gone, code=599, error="what no worker says")
    _, err, _ = report(OutputFormat.JSON, gone, *more, odd, GOOD)
    assert err.splitlines()[-4:-1] == [
        "classify-worker: 5 of 6 jobs failed: 4 with 404 Not Found, 1 with code 599",
        "classify-worker: 404 Not Found, the first: there is no image at the URL (cat.jpg)",
        "classify-worker: code 599, the first: what no worker says (cat.jpg)",
    ]


def test_the_one_file_is_named() -> None:
    for name in ("out.jpg", "out.json"):
        out, err, _ = report(OutputFormat.JSON, replace(GOOD, saved=Path("new") / name))
        assert err == f"classify-worker: saved {name} in new\n"
        assert json.loads(out)["picture"] == ("new/out.jpg" if name == "out.jpg" else None)


def test_jobs_that_were_not_waited_for_are_counted() -> None:
    _, err, failed = report(OutputFormat.JSON, replace(GOOD, saved=None), taken=3)
    assert err == "classify-worker: 2 of 3 jobs were not waited for\n"
    assert failed == 0


def test_that_there_was_nothing_to_submit_is_told() -> None:
    assert report(None) == (
        "",
        "classify-worker: nothing was submitted: the sources name no image\n",
        0,
    )
