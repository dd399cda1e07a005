"""Comments and documents use plain words: those that readers stumbled over do not come back."""

from __future__ import annotations

import re

from tests.support.paths import ROOT

# Each with what to write instead.
UNWANTED = {
    r"whence|lest|whoever|whosoever|whom": "a plain sentence with a subject",
    r"attendants?": "supervisor",
    r"barren": "stalled",
    r"doors?": "interface, or the name of the service",
    r"goodbyes?": "disconnecting",
    r"meets? its fate": "what happens to it",
    r"obtain(s|ed|ing)?": "resolve, get or download",
    r"passed over|pass_over": "ignore, skip or advance_to",
    r"the reference": "PaddleX",
    r"verdicts?": "result of the parity check, or kind of error",
    r"workshops?": "staging",
}
PATTERN = re.compile("|".join(rf"\b({words})\b" for words in UNWANTED), re.IGNORECASE)


def test_words_that_readers_stumbled_over_are_gone() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for directory in ("worker", "demo", "docs")
        for path in sorted((ROOT / directory).rglob("*"))
        if path.suffix in {".py", ".js", ".html", ".md"}
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if PATTERN.search(line)
    ]
    assert not found, "\n".join((*found, f"write instead: {UNWANTED}"))
