"""How `doctor` prints what it found: for people at a terminal of any width, and for grep."""

from __future__ import annotations

import pytest

from worker.cli.doctor import _print_report
from worker.doctor.findings import Finding, Status

PATH = "/a/long/path/to-the/cache-directory/of-this-user/classify-worker"
FINDINGS = [
    Finding("Python", Status.OK, "3.11.7"),
    Finding("Cache", Status.WARN, f"{PATH}, 0.5 GiB free", "name another disk in the environment"),
    Finding("URLs", Status.SKIP, "not tried"),
]
MISSING = Finding("Results topic", Status.FAIL, "results is missing", "create it")


def printed(capsys: pytest.CaptureFixture[str], *findings: Finding) -> tuple[bool, list[str]]:
    usable = _print_report(findings)
    return usable, capsys.readouterr().out.splitlines()


def test_a_finding_is_a_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, *FINDINGS) == (
        True,
        [
            "ok   Python         3.11.7",
            f"warn Cache          {PATH}, 0.5 GiB free",
            "                 -> name another disk in the environment",
            "skip URLs           not tried",
            "everything that is needed is there",
        ],
    )


def test_what_is_missing_decides(capsys: pytest.CaptureFixture[str]) -> None:
    usable, lines = printed(capsys, *FINDINGS, MISSING)
    assert not usable
    assert lines[-3:] == [
        "fail Results topic  results is missing",
        "                 -> create it",
        "something needed is missing",
    ]


@pytest.mark.parametrize("columns", [80, 60, 40])
def test_a_terminal_gets_lines_that_split_no_path(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    _, lines = printed(capsys, *FINDINGS)
    assert any(PATH in line for line in lines)
    # A path that is too long for its column gets the whole line.
    assert max(map(len, lines)) <= max(columns, len(PATH) + 3)
