"""Each fuzz target: its corpus, and for a moment inputs that are made up. `make fuzz` goes on."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fuzz.damage import damaged
from tests.support.fuzz.target import CORPUS, Target
from tests.support.fuzz.targets import TARGETS

LARGEST = 16 * 1024
LARGEST_IN_ALL = 600 * 1024


def check(target: Target, data: bytes) -> None:
    """Under a limit of memory as well."""
    if _peak(target, data) > target.most_memory:
        # Perhaps a library loaded its tables, which it does once.
        assert _peak(target, data) <= target.most_memory


def _peak(target: Target, data: bytes) -> int:
    tracemalloc.start()
    try:
        target.check(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_corpus_is_harmless(target: Target) -> None:
    assert target.corpus, "a target begins with good inputs"
    for path in target.corpus:
        check(target, path.read_bytes())


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_damaged_inputs_are_harmless(target: Target) -> None:
    inputs = [path.read_bytes() for path in target.corpus]

    @settings(max_examples=target.examples, database=None)
    @given(st.one_of(damaged(inputs, target.longest), st.binary(max_size=200)))
    def run(data: bytes) -> None:
        check(target, data)

    run()


def test_the_corpus_is_small_and_of_known_targets() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.relative_to(CORPUS).parts[0] for path in files} == {"README.md", *TARGETS}
    sizes: dict[Path, int] = {path: path.stat().st_size for path in files}
    assert max(sizes.values()) <= LARGEST
    assert sum(sizes.values()) <= LARGEST_IN_ALL
