"""What `submit` prints, where, and in which format."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from worker.cli.submit_report import AnswerFormat, AnswerReport
from worker.contract.jobs import Category
from worker.submit import Answer, Encoding, Item

CAT = Item("cat.jpg", Path("cat.jpg"), Encoding.BASE64)
GOOD = Answer(
    1, CAT, "jobs-0-1", 0, None, (Category(285, "[red]cat[/red]", 0.93123),), 0.0123, Path("p.jpg")
)
FAILED = Answer(
    2, Item("b\udcffd\x1b.jpg", Path("x"), Encoding.RAW), "jobs-0-2", 415, "no image", (), 0.5
)


def report(
    output: AnswerFormat | None, *answers: Answer, taken: int = 0, terminal: bool = False
) -> tuple[str, str, int]:
    """What goes to standard output and to standard error, and the number of failures."""
    out, err = io.StringIO(), io.StringIO()
    with AnswerReport(
        output,
        Console(file=out, width=90, force_terminal=terminal, color_system=None),
        Console(file=err, width=90),
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
        "job": "cat.jpg",
        "way": "base64",
        "id": "jobs-0-1",
        "errorCode": 0,
        "errorMsg": "Success",
        "categories": [{"id": 285, "name": "[red]cat[/red]", "score": 0.93123}],
        "latencySeconds": 0.0123,
        "picture": "p.jpg",
    }
    assert (bad["errorCode"], bad["errorMsg"], bad["categories"]) == (415, "no image", [])
    assert failed == 1
    assert err.splitlines() == [
        "classify-worker: b�d�.jpg: no image",
        "classify-worker: 1 of 2 jobs failed",
    ]


def test_a_table_on_a_terminal_with_its_head_once() -> None:
    out, err, _ = report(None, GOOD, FAILED, terminal=True)
    assert err == ""
    assert out.count("Way in") == 1
    row = next(line for line in out.splitlines() if "[red]cat" in line)
    for cell in ("cat.jpg", "base64", "0.93123", "12 ms", "p.jpg"):
        assert cell in row
    assert "no image" in out
    assert "\x1b.jpg" not in out


def test_rows_that_are_printed_one_by_one_stand_below_each_other() -> None:
    out, _, _ = report(AnswerFormat.TABLE, GOOD, FAILED, FAILED)
    rows = [line for line in out.splitlines() if " ms" in line]
    assert len(rows) == 3
    assert len({line.index(" ms") for line in rows}) == 1


def test_jobs_that_were_not_waited_for_are_counted() -> None:
    _, err, failed = report(AnswerFormat.JSON, GOOD, taken=3)
    assert err == "classify-worker: 2 of 3 jobs were not waited for\n"
    assert failed == 0


def test_that_there_was_nothing_to_submit_is_told() -> None:
    assert report(None) == (
        "",
        "classify-worker: nothing was submitted: the sources name no image\n",
        0,
    )
