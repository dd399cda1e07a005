"""What `predict` prints, where, and in which format."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from worker.cli.options import OutputFormat
from worker.cli.output_file import OutputFile
from worker.cli.predict_report import MANY, PredictReport
from worker.clock import Clock
from worker.contract.jobs import Category, ModelIdentity
from worker.errors import JobError, Reason, WorkerError
from worker.predict import ClassificationResult, FailedInput
from worker.predict.inputs import Page

CATEGORIES = [Category(285, "Egyptian cat", 0.93123), Category(281, "[red]tabby[/red]", 0.05)]
FAILED = FailedInput("bad.jpg", JobError(Reason.NOT_AN_IMAGE, "the file is empty; send JPEG"))


def result(input_path: str = "cat.jpg") -> ClassificationResult:
    return ClassificationResult(input_path, np.zeros((2, 2, 3), np.uint8), CATEGORIES)


def report(
    output: OutputFormat | None,
    *items: ClassificationResult | FailedInput,
    terminal: bool = False,
    width: int = 60,
    file: OutputFile | None = None,
    unmeasured: bool = False,
) -> tuple[str, str, int]:
    """What goes to standard output and to standard error, and the number of failures."""
    out, err = io.StringIO(), io.StringIO()
    with PredictReport(
        output,
        [item.json["res"]["input_path"] or "" for item in items],
        file,
        Console(file=out, width=width, force_terminal=terminal, color_system=None),
        Console(file=err, width=width),
        clock=Clock(iter([0.0, 1.0, *(1.0 + 0.5 * n for n in range(1, 199))]).__next__),
        model=ModelIdentity("cats", "sha256:0a", "openvino"),
        unmeasured=unmeasured,
    ) as shown:
        shown.begin()
        for item in items:
            shown.add(item)
    return out.getvalue(), err.getvalue(), shown.failed


def lines(text: str) -> list[str]:
    """The lines without what a progress bar wrote before them."""
    return [line.rpartition("\x1b[2K")[2].strip("\r ") for line in text.splitlines()]


def test_json_is_a_line_for_each_input_in_order() -> None:
    out, err, failed = report(OutputFormat.JSON, result(), FAILED, result("other.jpg"))
    first, second, third = (json.loads(line) for line in out.splitlines())
    assert first == {
        "input": "cat.jpg",
        "page": None,
        "id": None,
        "errorCode": 0,
        "errorMsg": "Success",
        "reason": None,
        "categories": [
            {"id": 285, "name": "Egyptian cat", "score": 0.93123},
            {"id": 281, "name": "[red]tabby[/red]", "score": 0.05},
        ],
        "latencySeconds": None,
        "picture": None,
        "model": {"name": "cats", "digest": "sha256:0a", "backend": "openvino"},
    }
    assert second.keys() == first.keys()
    assert second["model"] is None
    assert second | {"errorCode": 415, "reason": "not_an_image", "categories": []} == second
    assert (second["input"], second["errorMsg"]) == ("bad.jpg", "the file is empty; send JPEG")
    assert third == first | {"input": "other.jpg"}
    assert err == (
        "classify-worker: bad.jpg: the file is empty; send JPEG\n"
        "classify-worker: 3 images in 1.5 s, 2.0 images/s\n"
        "classify-worker: 1 of 3 images could not be used: 1 not_an_image\n"
    )
    assert failed == 1


@pytest.mark.parametrize(
    ("images", "terminal", "unmeasured", "said"),
    [
        (MANY, True, True, 1),
        (MANY - 1, True, True, 0),
        (MANY, True, False, 0),
        (MANY, False, True, 0),
    ],
)
def test_who_waits_for_many_images_hears_that_there_may_be_a_faster_backend(
    *, images: int, terminal: bool, unmeasured: bool, said: int
) -> None:
    items = [result()] * images
    output = OutputFormat.JSON
    out, err, _ = report(output, *items, terminal=terminal, width=120, unmeasured=unmeasured)
    assert (out + err).count("--use-hpip measures the backends once and keeps the fastest") == said


def test_text_is_paddlexs_dictionary() -> None:
    out, err, _ = report(OutputFormat.TEXT, result(), FAILED)
    assert out == f"{result()}\n"
    assert out.startswith("{'res': {'input_path': 'cat.jpg', 'page_index': None, 'class_ids': ")
    assert "bad.jpg" in err


def test_csv_has_a_row_for_each_category_and_one_for_a_failure() -> None:
    out, _, _ = report(OutputFormat.CSV, result("a, b.jpg"), FAILED)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["input"], row["rank"], row["name"]) for row in rows] == [
        ("a, b.jpg", "1", "Egyptian cat"),
        ("a, b.jpg", "2", "[red]tabby[/red]"),
        ("bad.jpg", "", ""),
    ]
    assert (rows[0]["id"], float(rows[0]["score"]), rows[0]["errorCode"]) == ("285", 0.93123, "0")
    assert (rows[2]["errorCode"], rows[2]["error"]) == ("415", "the file is empty; send JPEG")


def test_one_images_table_has_a_row_for_each_category_and_labels_are_no_markup() -> None:
    out, _, _ = report(OutputFormat.TABLE, result())
    shown = lines(out)
    assert shown[0] == "cat.jpg"
    assert "0.93123    285  Egyptian cat" in shown
    assert "0.05000    281  [red]tabby[/red]" in shown


def test_of_several_images_each_has_a_line_and_each_folder_is_printed_once() -> None:
    inputs = ("a/cat.jpg", "a/dog.jpg", "b/c/cow.jpg", "horse.jpg", "https://x.org/y/z.jpg?q=/1")
    out, _, _ = report(OutputFormat.TABLE, *map(result, inputs), width=80)
    assert lines(out) == [
        "Image         Score  Label",
        "──────────────────────────",
        "a/",
        "cat.jpg     0.93123  Egyptian cat",
        "dog.jpg     0.93123  Egyptian cat",
        "b/c/",
        "cow.jpg     0.93123  Egyptian cat",
        "./",
        "horse.jpg   0.93123  Egyptian cat",
        "https://x.org/y/",
        "z.jpg?q=/1  0.93123  Egyptian cat",
    ]


def test_an_image_without_a_category_says_so() -> None:
    none = ClassificationResult("none.jpg", np.zeros((2, 2, 3), np.uint8), [])
    assert "(no category)" in report(OutputFormat.TABLE, none, result())[0]


def test_a_terminal_gets_a_table_and_everything_else_json() -> None:
    assert "Egyptian cat" in report(None, result(), terminal=True)[0].splitlines()[3]
    assert json.loads(report(None, result())[0])["categories"][0]["id"] == 285


def test_where_a_file_gets_the_results_standard_output_has_none(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    out, err, _ = report(None, result(), file=OutputFile(path))
    assert out == ""
    assert err == f"classify-worker: results are in {path}\n"
    assert len(path.read_text().splitlines()) == 3
    again = report(OutputFormat.JSON, result(), file=OutputFile(path))[0]
    assert json.loads(again)["input"] == "cat.jpg"


def test_a_table_says_which_page_it_is_of() -> None:
    page = ClassificationResult("a.tif", np.zeros((2, 2, 3), np.uint8), CATEGORIES, Page(1, 2))
    out, _, _ = report(OutputFormat.TABLE, page)
    assert lines(out)[2] == "a.tif (page_index 1)  0.93123  Egyptian cat"


def test_a_file_of_results_that_cannot_be_written_is_not_said_to_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    file = OutputFile(tmp_path / "file" / "results.csv")
    with (
        pytest.raises(WorkerError, match=r"results\.csv cannot be written"),
        PredictReport(OutputFormat.JSON, ["cat.jpg"], file) as shown,
    ):
        shown.add(result())
    assert "results are in" not in capsys.readouterr().err


def test_a_file_with_more_pages_than_expected_is_counted_by_its_pages() -> None:
    err = io.StringIO()
    with PredictReport(
        OutputFormat.JSON, ["a.pdf"], None, Console(file=io.StringIO()), Console(file=err)
    ) as shown:
        for _ in range(3):
            shown.add(FAILED)
    assert "3 of 3 images could not be used: 3 not_an_image" in err.getvalue()


def test_a_terminal_gets_everything_from_the_same_console_and_a_progress_bar() -> None:
    out, err, _ = report(None, result(), FAILED, terminal=True)
    assert "bad.jpg    error  the file is empty; send JPEG" in lines(out)
    assert "classify-worker: 1 of 2 images could not be used: 1 not_an_image" in (
        " ".join(lines(out)).replace("  ", " ")
    )
    assert "2/2" in out
    assert not err


def test_one_input_has_neither_progress_nor_a_summary() -> None:
    out, err, failed = report(None, FAILED, terminal=True)
    assert out == "classify-worker: bad.jpg: the file is empty; send JPEG\n"
    assert (err, failed) == ("", 1)


def test_an_input_without_a_name_is_not_named() -> None:
    _, err, _ = report(OutputFormat.JSON, FailedInput("", FAILED.error))
    assert err == "classify-worker: the file is empty; send JPEG\n"


def test_the_end_says_where_pictures_are(tmp_path: Path) -> None:
    def summary(*saved: list[Path]) -> str:
        err = io.StringIO()
        with PredictReport(
            OutputFormat.JSON,
            ["x"] * len(saved),
            None,
            Console(file=io.StringIO()),
            Console(file=err, width=200),
        ) as shown:
            for each in saved:
                shown.add(result(), each)
        return err.getvalue()

    both = [tmp_path / "cat_res.json", tmp_path / "cat_res.jpg"]
    assert summary(both) == (f"classify-worker: saved cat_res.json and cat_res.jpg in {tmp_path}\n")
    assert summary(both, both).splitlines()[-1] == (
        f"classify-worker: results and pictures are in {tmp_path}"
    )


@pytest.mark.parametrize("output", [OutputFormat.TABLE, OutputFormat.TEXT])
def test_a_files_name_cannot_drive_the_terminal(output: OutputFormat) -> None:
    out, err, _ = report(
        output, result("\x1b[2Jcat\r.jpg"), FailedInput("\x1b]0;x\x07", FAILED.error)
    )
    assert not {"\x1b", "\r", "\x07"} & set(out + err)


@pytest.mark.parametrize("output", [OutputFormat.JSON, OutputFormat.CSV])
def test_a_name_that_is_not_utf8_is_written_all_the_same(output: OutputFormat) -> None:
    path = os.fsdecode(b"k\xe4tzchen.jpg")
    out, _, _ = report(output, result(path))
    assert all(line.isprintable() for line in out.splitlines())
    if output is OutputFormat.JSON:
        assert json.loads(out)["input"] == path
    else:
        assert out.splitlines()[1].startswith("k\\udce4tzchen.jpg,")
