"""Comments and documents use plain words: those that readers stumbled over do not come back."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.paths import ROOT

# Each with what to write instead.
UNWANTED = {
    r"whence|lest|whoever|whosoever|whom|thereof|whereby": "a plain sentence with a subject",
    r"amid|amidst": "during, within or among",
    r"attendants?": "supervisor",
    r"barren": "stalled",
    r"doors?": "interface, or the name of the service",
    r"for ever": "forever",
    r"goodbyes?": "disconnecting",
    r"heed(s|ed|ing)?": "follow or use",
    r"hence": "so, or therefore",
    r"meets? (its|their) fate|fates?": "what happens to it",
    r"obtain(s|ed|ing)?": "resolve, get or download",
    r"passed over|pass_over": "ignore, skip or advance_to",
    r"the reference": "PaddleX",
    r"verdicts?": "result of the parity check, or kind of error",
    r"workshops?": "staging",
}
TEXT = {".py", ".js", ".mjs", ".html", ".md", ".go", ".java", ".cpp", ".cs", ".php"}
DIRECTORIES = ("worker", "demo", "chaos", "docs", "examples", "benchmarks", "scripts", "tests")
PATTERN = re.compile("|".join(rf"\b({words})\b" for words in UNWANTED), re.IGNORECASE)


def test_words_that_readers_stumbled_over_are_gone() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for directory in DIRECTORIES
        for path in sorted((ROOT / directory).rglob("*"))
        if path.suffix in TEXT and path != Path(__file__)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if PATTERN.search(line)
    ]
    assert not found, "\n".join((*found, f"write instead: {UNWANTED}"))
