"""Tokens: which are accepted, and which files are refused; no file's content is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import SettingsError
from worker.http.tokens import Tokens

FIRST, SECOND = "a-first-token-0123456789", "c2Vjb25kIHRva2Vu+/=="


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "tokens", f"# made on Monday\n{FIRST}\n\n  {SECOND}  \r\n")


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o640)
    return path


def test_each_line_is_a_token(path: Path) -> None:
    tokens = Tokens(path)
    tokens.load()
    assert tokens.accepts(f"Bearer {FIRST}")
    assert tokens.accepts(f"bearer   {SECOND} ")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        FIRST,
        f"Basic {FIRST}",
        f"Bearer {FIRST}x",
        f"Bearer {FIRST[:-1]}",
        f"Bearer {FIRST.upper()}",
        f"Bearer {FIRST} {SECOND}",
        f"Bearer {FIRST},{SECOND}",
        f"Bearer\t{FIRST}",
        f"Bearer {FIRST}\N{LATIN SMALL LETTER E WITH ACUTE}",
        "Bearer #",
        "Bearer # made on Monday",
    ],
)
def test_nothing_else_is(path: Path, header: str) -> None:
    tokens = Tokens(path)
    tokens.load()
    assert not tokens.accepts(header)


def test_without_a_file_that_was_read_nothing_is_accepted(path: Path) -> None:
    assert not Tokens(path).accepts(f"Bearer {FIRST}")
    assert not Tokens(path).accepts("")


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("", 0o600, "has no token"),
        ("\n# nothing\n", 0o600, "has no token"),
        (f"{FIRST}\n", 0o644, "open to all users of this machine (mode 0644)"),
        (f"{FIRST}\n", 0o602, "open to all users"),
        (f"{FIRST}\n\ntoo-short\n", 0o600, "line 3: a token has 16 characters or more"),
        (f"two words in {FIRST}\n", 0o600, "line 1: "),
        (f"{FIRST}\n" * 5000, 0o600, "more than 65536 bytes"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(
    tmp_path: Path, text: str, mode: int, says: str
) -> None:
    path = written(tmp_path / "tokens", text)
    path.chmod(mode)
    with pytest.raises(SettingsError) as raised:
        Tokens(path).load()
    assert says in str(raised.value)
    assert str(path) in str(raised.value)
    assert FIRST not in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        Tokens(tmp_path / "none").load()
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        Tokens(tmp_path).load()


def test_tokens_are_replaced_as_a_whole_and_kept_after_an_error(path: Path) -> None:
    tokens = Tokens(path)
    tokens.load()
    written(path, "")
    with pytest.raises(SettingsError):
        tokens.load()
    assert tokens.accepts(f"Bearer {FIRST}")
    written(path, "an-entirely-new-token")
    tokens.load()
    assert tokens.accepts("Bearer an-entirely-new-token")
    assert not tokens.accepts(f"Bearer {FIRST}")
