"""Which files the pages are made of."""

from __future__ import annotations

import re
from pathlib import Path

from worker.http import page

FOLDER = Path(page.__file__).parent
NOT_SERVED = {"__init__.py", "samples/README.md"}


def served() -> set[str]:
    return {str(name) for name in page.FILES.values()}


def test_every_file_is_served() -> None:
    files = {
        str(path.relative_to(FOLDER))
        for path in FOLDER.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert files - NOT_SERVED == served()


def test_every_reference_is_to_a_file_that_is_served() -> None:
    named = re.compile(r'(?:src|href|data-sample|from)(?:=| )"(?:\./)?([\w./-]+\.\w+)"')
    texts = [FOLDER / name for name in served() if name.endswith((".html", ".js"))]
    found = {one for path in texts for one in named.findall(path.read_text("utf-8"))}

    assert {"page.js", "dom.js", "samples/cat.jpg"} <= found
    assert found - {"openapi.json"} <= served()
