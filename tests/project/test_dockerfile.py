"""The image's recipe keeps up with the project."""

from __future__ import annotations

import re

from tests.support.paths import ROOT
from worker import __version__

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def test_it_has_the_projects_version() -> None:
    assert re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE) == [__version__]


def test_what_it_copies_is_sent_to_the_engine() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert allowed == {name for names in copied for name in names.split()}
    assert all((ROOT / name).exists() for name in allowed)


def test_each_exception_from_a_linter_has_its_reason_above() -> None:
    lines = DOCKERFILE.splitlines()
    for number, line in enumerate(lines):
        for code in re.findall(r"hadolint ignore=(\w+)", line):
            above = "\n".join(lines[max(0, number - 4) : number])
            assert code in above, line
        assert "checkov:skip" not in line or re.search(r"skip=\w+: .{20}", line), line
