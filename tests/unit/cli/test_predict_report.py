"""What `predict` prints, where, and in which format."""

from __future__ import annotations

import io
import json
import os

import numpy as np
import pytest
from rich.console import Console

from worker.cli.options import Format
from worker.cli.predict_report import Report
from worker.contract.jobs import Category
from worker.errors import JobError, Reason
from worker.predict import ClassificationResult, FailedInput
from worker.predict.inputs import Page

CATEGORIES = [Category(285, "Egyptian cat", 0.93123), Category(281, "[red]tabby[/red]", 0.05)]
FAILED = FailedInput("bad.jpg", JobError(Reason.NOT_AN_IMAGE, "the file is empty; send JPEG"))


def result(input_path: str = "cat.jpg") -> ClassificationResult:
    return ClassificationResult(input_path, np.zeros((2, 2, 3), np.uint8), CATEGORIES)


def report(
    output: Format | None, *items: ClassificationResult | FailedInput, terminal: bool = False
) -> tuple[str, str, int]:
    """What goes to standard output and to standard error, and the number of failures."""
    out, err = io.StringIO(), io.StringIO()
    with Report(
        output,
        len(items),
        Console(file=out, width=60, force_terminal=terminal, color_system=None),
        Console(file=err, width=60),
    ) as shown:
        for item in items:
            shown.add(item)
    return out.getvalue(), err.getvalue(), shown.failed


def test_json_is_a_line_for_each_input_in_order() -> None:
    out, err, failed = report(Format.JSON, result(), FAILED, result("other.jpg"))
    assert [json.loads(line) for line in out.splitlines()] == [
        result().json["res"],
        FAILED.json["res"],
        result("other.jpg").json["res"],
    ]
    assert err == (
        "classify-worker: bad.jpg: the file is empty; send JPEG\n"
        "classify-worker: 1 of 3 images could not be used\n"
    )
    assert failed == 1


def test_text_is_the_references_dict() -> None:
    out, err, _ = report(Format.TEXT, result(), FAILED)
    assert out == f"{result()}\n"
    assert out.startswith("{'res': {'input_path': 'cat.jpg', 'page_index': None, 'class_ids': ")
    assert "bad.jpg" in err


def test_a_table_has_a_row_for_each_category_and_labels_are_no_markup() -> None:
    out, _, _ = report(Format.TABLE, result())
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == "cat.jpg"
    assert "0.93123     285   Egyptian cat" in lines
    assert "0.05000     281   [red]tabby[/red]" in lines


def test_a_terminal_gets_a_table_and_everything_else_json() -> None:
    assert "Egyptian cat" in report(None, result(), terminal=True)[0].splitlines()[4]
    assert json.loads(report(None, result())[0]) == result().json["res"]


def test_a_table_says_which_page_it_is_of() -> None:
    page = ClassificationResult("a.tif", np.zeros((2, 2, 3), np.uint8), CATEGORIES, Page(1, 2))
    out, _, _ = report(Format.TABLE, page, page)
    assert out.splitlines()[0] == "a.tif (page_index 1)"


def test_a_file_with_more_pages_than_expected_is_counted_by_its_pages() -> None:
    err = io.StringIO()
    with Report(Format.JSON, 1, Console(file=io.StringIO()), Console(file=err)) as shown:
        for _ in range(3):
            shown.add(FAILED)
    assert err.getvalue().splitlines()[-1].endswith("3 of 3 images could not be used")


def test_a_terminal_gets_notes_from_the_same_console_and_a_progress_bar() -> None:
    out, err, _ = report(None, result(), FAILED, terminal=True)
    assert "classify-worker: bad.jpg: the file is empty" in out
    assert "2/2" in out
    assert not err


def test_one_input_has_neither_progress_nor_a_summary() -> None:
    out, err, failed = report(None, FAILED, terminal=True)
    assert out == "classify-worker: bad.jpg: the file is empty; send JPEG\n"
    assert (err, failed) == ("", 1)


def test_an_input_without_a_name_is_not_named() -> None:
    _, err, _ = report(Format.JSON, FailedInput("", FAILED.error))
    assert err == "classify-worker: the file is empty; send JPEG\n"


@pytest.mark.parametrize("output", [Format.TABLE, Format.TEXT])
def test_a_files_name_cannot_drive_the_terminal(output: Format) -> None:
    out, err, _ = report(
        output, result("\x1b[2Jcat\r.jpg"), FailedInput("\x1b]0;x\x07", FAILED.error)
    )
    assert not {"\x1b", "\r", "\x07"} & set(out + err)


def test_a_name_that_is_not_utf8_is_json_all_the_same() -> None:
    path = os.fsdecode(b"k\xe4tzchen.jpg")
    out, _, _ = report(Format.JSON, result(path))
    assert out.isprintable() or out.rstrip("\n").isprintable()
    assert json.loads(out)["input_path"] == path
