"""Texts are bounded, and always text."""

from __future__ import annotations

from worker.contract.text import MAX_TEXT, bounded_text


def test_a_text_that_fits_stays_as_it_is() -> None:
    assert bounded_text("é" * MAX_TEXT) == "é" * MAX_TEXT


def test_a_longer_text_is_cut_off_and_shows_it() -> None:
    assert bounded_text("é" * (MAX_TEXT + 1)) == "é" * (MAX_TEXT - 1) + "…"


def test_a_lone_surrogate_is_replaced() -> None:
    assert bounded_text("a\ud800b") == "a?b"
