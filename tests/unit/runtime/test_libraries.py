"""A package that cannot be imported: a sentence that keeps the fact."""

from __future__ import annotations

import importlib.util

import pytest

from worker.errors import UnfitSystemError
from worker.runtime.libraries import importing


def test_a_package_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(
            UnfitSystemError, match=r"Any cannot be loaded \(No module named 'no_such'\)"
        ),
        importing("Any", "install it"),
    ):
        importlib.import_module("no_such")


def test_of_long_advice_the_fact_is_kept() -> None:
    with (
        pytest.raises(UnfitSystemError, match=r"\(libX.so.1: cannot open shared object file\): do"),
        importing("Any", "do this"),
    ):
        raise ImportError("advice\n\n libX.so.1: cannot open shared object file\nmore advice")
