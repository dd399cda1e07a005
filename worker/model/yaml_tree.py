"""YAML as a tree of what is written, with lines, in bounded time and memory.

`yaml.safe_load` gives values: `no` becomes False, `12:30` becomes 750, `1.10` becomes 1.1; it
follows any nesting and takes the last of two equal keys. Here a scalar stays the text that was
written, and what is too large, too deep or given twice is an error. An alias is the very node that
it names, so that a document whose aliases name aliases without end takes no more room than its
text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

__all__ = ["ConfigError", "Listing", "Node", "Scalar", "Table", "parse"]

MAX_BYTES = 4 * 2**20
"""Largest file: forty times the one of a model with 1000 labels, ten times that of ImageNet-21k."""

MAX_NODES = 200_000
"""Most nodes, aliases included; each label is one."""

MAX_DEPTH = 64
"""Deepest nesting."""

_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("bool", "float", "int", "map", "null", "seq")}
_TEXT = "tag:yaml.org,2002:str"


class ConfigError(Exception):
    """A file says what cannot be.

    Attributes:
        line: from 1; None when no line is to blame.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A single value, as written.

    Attributes:
        line: from 1.
        plain: written without quotes and without `!!str`, so that YAML may take it for a number, a
            truth value, a date or null.
        tag: the type that it was given, or None.
    """

    line: int
    text: str
    plain: bool
    tag: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """A list."""

    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A mapping; its keys as written, each once, with their lines."""

    line: int
    entries: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


Node = Scalar | Listing | Table


def parse(data: bytes) -> Node | None:
    """Parse a document.

    Returns:
        Its tree; None if there is nothing in it.

    Raises:
        ConfigError: it is too large or too deep, no UTF-8, no YAML, or has a key twice.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError(f"is larger than {MAX_BYTES // 2**20} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 (byte {error.start})") from error
    composer = _Composer()
    try:
        for event in _events(text):
            composer.feed(event)
    except yaml.MarkedYAMLError as error:
        raise _as_config_error(error) from error
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise ConfigError(f"is not YAML: {' '.join(str(error).split())}") from error
    return composer.root


def _events(text: str) -> Iterator[yaml.Event]:
    # The parser written in C is forty times as fast; some platforms have no build of it.
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
    return events


class _Composer:
    """Makes the tree from the parser's events, without recursion."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._documents = 0
        self._nodes = 0
        # Invariant: the collections that are not closed yet, outermost first; of a table also the
        # key that waits for its value.
        self._open: list[Listing | Table] = []
        self._keys: list[Scalar | None] = []
        self._anchors: dict[str, Node] = {}

    def feed(self, event: yaml.Event) -> None:
        """Take the next event.

        Raises:
            ConfigError: the tree would be none that is allowed.
        """
        line = 1 if event.start_mark is None else event.start_mark.line + 1
        match event:
            case yaml.ScalarEvent():
                plain, _ = event.implicit
                node = Scalar(line, event.value, plain, _tag(event.tag, line))
                self._add(node, event.anchor)
            case yaml.SequenceStartEvent():
                self._begin(Listing(line), event)
            case yaml.MappingStartEvent():
                self._begin(Table(line), event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._open.pop()
                self._keys.pop()
            case yaml.AliasEvent():
                self._add(self._named(event.anchor, line), None)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise ConfigError("is not YAML of one document: another one begins", line)

    def _begin(self, node: Listing | Table, event: yaml.CollectionStartEvent) -> None:
        _tag(event.tag, node.line)
        self._add(node, event.anchor)
        if len(self._open) == MAX_DEPTH:
            raise ConfigError("is nested too deeply", node.line)
        self._open.append(node)
        self._keys.append(None)

    def _named(self, anchor: str | None, line: int) -> Node:
        node = self._anchors.get(anchor or "")
        if node is None:
            raise ConfigError(f"is not YAML: nothing is named &{anchor} before", line)
        if node in self._open:
            raise ConfigError(f"is not a tree: *{anchor} is within what it names", line)
        return node

    def _add(self, node: Node, anchor: str | None) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ConfigError(f"has more than {MAX_NODES} values", node.line)
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        match self._open[-1]:
            case Listing(items=items):
                items.append(node)
            case table:
                self._keys[-1] = self._enter(table, self._keys[-1], node)

    @staticmethod
    def _enter(table: Table, key: Scalar | None, node: Node) -> Scalar | None:
        """Add a key, or the value of `key`; the key that waits for its value then."""
        if key is not None:
            table.entries[key.text] = node
            return None
        if not isinstance(node, Scalar):
            raise ConfigError("has a key that is a list or a mapping", node.line)
        if node.text in table.lines:
            first = table.lines[node.text]
            raise ConfigError(f"{node.text[:80]} is given twice, first in line {first}", node.line)
        table.lines[node.text] = node.line
        return node


def _tag(tag: str | None, line: int) -> str | None:
    """The tag of a type that scalars are read as."""
    if tag in (None, "!", _TEXT):
        return None
    if tag not in _TAGS:
        raise ConfigError(f"is not YAML of plain values: {str(tag)[:80]!r} is not known here", line)
    return tag


def _as_config_error(error: yaml.MarkedYAMLError) -> ConfigError:
    problem = error.problem or error.context or "it ends too early"
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    if "maximum nesting" in problem:
        return ConfigError("is nested too deeply", line)
    return ConfigError(f"is not YAML: {problem}", line)
