"""Whatever a model's YAML contains, reading it ends soon, as a tree or with an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from worker.model.yaml_tree import MAX_BYTES, MAX_NODES, ConfigError, Listing, Scalar, Table, parse

SIZE = MAX_BYTES


def bomb() -> str:
    """Aliases of aliases: 9 ** 40 values, were they copied."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    return "\n".join(levels)


HOSTILE: dict[str, tuple[Callable[[], str], str | None]] = {
    "20 MB of comments": (lambda: "# x\n" * 5_000_000, "is larger than 4 MiB"),
    "comments": (lambda: "#" * SIZE, None),
    "empty lines": (lambda: "\n" * SIZE, None),
    "spaces": (lambda: " " * SIZE, None),
    "aliases of aliases": (bomb, None),
    "a large alias, often": (lambda: f"[&a {'x' * 1000}{', *a' * 100_000}]", None),
    "too many aliases": (lambda: f"[&a b{', *a' * MAX_NODES}]", "has more than 200000 values"),
    "too many values": (lambda: f"[{'a,' * (SIZE // 2 - 2)}]", "has more than 200000 values"),
    "too many lists": (lambda: "- []\n" * (SIZE // 5), "has more than 200000 values"),
    "deep lists": (lambda: "[" * SIZE, "is nested too deeply"),
    "deep mappings": (lambda: "{a: " * (SIZE // 4), "is nested too deeply"),
    "deep blocks": (lambda: "- " * (SIZE // 2), "is nested too deeply"),
    "deep, but short": (lambda: f"{'[' * 65}{']' * 65}", "is nested too deeply"),
    "itself": (lambda: "a: &a [*a]", r"\*a is within what it names"),
    "one scalar": (lambda: f"a: {'x' * (SIZE - 10)}", None),
    "one open string": (lambda: '"' + "a" * (SIZE - 1), "is not YAML: "),
    "a text of lines": (lambda: "a: |\n" + " \n" * (SIZE // 2 - 4), None),
    "documents": (lambda: "---\n" * (SIZE // 4), "of one document"),
    "a document after it": (lambda: "a: 1\n---\nb: 2\n", "of one document"),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_are_read_or_refused_without_end_or_copy(name: str) -> None:
    make, message = HOSTILE[name]
    data = make().encode()
    if message is None:
        parse(data)
    else:
        with pytest.raises(ConfigError, match=message):
            parse(data)


def test_nodes_know_what_was_written_and_where() -> None:
    root = parse(b"a: no\nb: 'no'\nc: !!str 5\nd: !!int '5'\ne:\n- 1\n- {}\n")
    assert isinstance(root, Table)
    assert root.lines == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    scalars = [node for node in root.entries.values() if isinstance(node, Scalar)]
    assert [(node.text, node.plain) for node in scalars] == [
        ("no", True),
        ("no", False),
        ("5", False),
        ("5", False),
    ]
    assert scalars[3].tag == "tag:yaml.org,2002:int"
    listing = root.entries["e"]
    assert isinstance(listing, Listing)
    assert [node.line for node in listing.items] == [6, 7]


def test_an_alias_is_the_node_that_it_names() -> None:
    root = parse(b"a: &x [1, 2]\nb: *x\n? &k key\n: *k\n")
    assert isinstance(root, Table)
    assert root.entries["a"] is root.entries["b"]
    key = root.entries["key"]
    assert isinstance(key, Scalar)
    assert (key.text, key.line) == ("key", 3)


@pytest.mark.parametrize(
    ("data", "message", "line"),
    [
        (b"a: 1\nb: 2\na: 3\n", "a is given twice, first in line 1", 3),
        (b"x:\n  ? [a]\n  : b\n", "has a key that is a list or a mapping", 2),
        (b"a: *b\n", "nothing is named &b before", 1),
        (b"a: 1\n---\nb: 2\n", "is not YAML of one document", 2),
        (b"a:\n- !!python/name:os.system ''\n", "'tag:yaml.org,2002:python/name:os.system'", 2),
        (b"a: !!binary aGk=\n", "'tag:yaml.org,2002:binary' is not known here", 1),
        (b"a: 1\n\tb: 2\n", "is not YAML: ", 2),
        (b"a: \xff\n", r"is not UTF-8 \(byte 3\)", None),
    ],
)
def test_what_is_no_tree_is_refused_with_its_line(
    data: bytes, message: str, line: int | None
) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        parse(data)
    assert raised.value.line == line


def test_nothing_is_no_tree() -> None:
    assert parse(b"") is None
    assert parse(b"\xef\xbb\xbf# only a comment\n") is None


@given(st.binary(max_size=200) | st.text(alphabet="[]{}-:?&*!|>'\"# \n\tab1~,%@`", max_size=60))
def test_any_bytes_are_a_tree_or_an_error(data: bytes | str) -> None:
    try:
        parse(data if isinstance(data, bytes) else data.encode())
    except ConfigError as error:
        assert str(error)  # noqa: PT017 - either end is right


@pytest.mark.parametrize("name", ["deep, but short", "itself", "a document after it"])
def test_the_parser_written_in_python_has_the_same_bounds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    make, message = HOSTILE[name]
    assert message is not None
    with pytest.raises(ConfigError, match=message):
        parse(make().encode())
