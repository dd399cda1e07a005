"""Rows that are printed one by one: what is wider than its place stays whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from worker.cli.rows import Column, Rows, printable, wrap, wrap_lines

ROWS = Rows((Column("Name", 6), Column("Score", 7, right=True), Column("Label")), 30)


def test_columns_stand_below_their_heads() -> None:
    assert ROWS.head() == ["Name      Score  Label", "──────────────────────"]
    assert ROWS.row(("cat", "0.5", "tabby")) == ["cat         0.5  tabby"]


def test_a_cell_that_is_too_wide_is_followed_by_a_new_line() -> None:
    assert ROWS.row(("elephant", "0.5", "tusker")) == ["elephant", "            0.5  tusker"]


def test_the_last_column_is_wrapped_between_words() -> None:
    assert ROWS.row(("cat", "0.5", "tabby, tabby cat, tom")) == [
        "cat         0.5  tabby, tabby",
        "                 cat, tom",
    ]


def test_a_word_that_is_too_long_for_the_last_column_gets_the_line() -> None:
    assert ROWS.row(("cat", "0.5", "a seventeen-letters")) == [
        "cat         0.5  a",
        "  seventeen-letters",
    ]


def test_an_empty_last_cell_leaves_no_spaces() -> None:
    assert ROWS.row(("cat", "", "")) == ["cat"]


def test_a_last_column_without_room_begins_on_a_line_of_its_own() -> None:
    rows = Rows((Column("Name", 6), Column("Score", 7), Column("Label")), 30, 14)
    assert rows.head() == ["Name    Score", "    Label", "─────────────"]
    assert rows.row(("cat", "0.5", "tabby, tabby cat, and a tom")) == [
        "cat     0.5",
        "    tabby, tabby cat, and a",
        "    tom",
    ]
    assert rows.row(("cat", "0.12345678", "")) == ["cat     0.12345678"]
    roomy = Rows((Column("Name", 6), Column("Score", 7), Column("Label")), 31, 14)
    assert roomy.row(("cat", "0.5", "tabby")) == ["cat     0.5      tabby"]


def test_wide_characters_count_twice() -> None:
    assert ROWS.row(("猫", "1", "x")) == ["猫            1  x"]


@given(st.text("ab -/", max_size=60), st.integers(8, 40))
def test_wrapping_keeps_every_word_and_the_width_where_words_allow_it(
    text: str, width: int
) -> None:
    lines = wrap(text, width, "> ", "  ")
    words = " ".join(lines).removeprefix(">").split()
    assert words == text.split()
    longest = max((len(word) for word in words), default=0)
    assert all(cell_len(line) <= max(width, longest + 2) for line in lines)


@pytest.mark.parametrize("sign", ["\x1b", "\r", "\n", "\udce4", "\u202e"])
def test_what_could_drive_a_terminal_is_replaced(sign: str) -> None:
    assert printable(f"a{sign}b") == "a\N{REPLACEMENT CHARACTER}b"


def test_messages_are_wrapped_line_by_line_but_for_what_is_to_be_copied() -> None:
    text = "settings are wrong:\n  line 3: unknown key 'modle'\n    classify-worker config --json"
    assert wrap_lines(text, 20).splitlines() == [
        "settings are wrong:",
        "  line 3: unknown",
        "    key 'modle'",
        "    classify-worker config --json",
    ]
