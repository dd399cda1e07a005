"""What `model set` says of a change."""

from __future__ import annotations

from typing import Any

import pytest

from worker.cli.model import tell


def identity(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": f"sha256:{digest}", "backend": "paddle"}


@pytest.mark.parametrize(
    ("former", "where"), [("cats", " from /models/cats-v2"), ("PP-LCNet_x1_0", "")]
)
def test_where_a_model_comes_from_is_said_if_it_is_called_like_the_one_before(
    former: str, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model, before = identity("cats", "22"), identity(former, "11")
    tell(
        {"outcome": "changed", "wanted": "/models/cats-v2", "model": model, "former": before},
    )
    assert capsys.readouterr().out == (
        f"serves cats (sha256:22, paddle){where}, in place of {former} (sha256:11, paddle)\n"
    )
