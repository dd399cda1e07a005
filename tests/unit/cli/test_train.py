"""What `train` refuses before it looks at anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from worker.cli.commands import app


@pytest.mark.parametrize(
    ("name", "said"), [(" ", "the name is empty"), ("a\nb", "of one line"), ("x" * 2000, "longer")]
)
def test_a_name_that_no_result_could_hold_is_refused(tmp_path: Path, name: str, said: str) -> None:
    arguments = ["train", "--data", "no data", "--save-dir", str(tmp_path / "out"), "--name", name]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()
