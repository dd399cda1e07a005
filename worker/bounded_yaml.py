"""YAML files of settings and pipelines as nodes and values, in bounded time and memory.

`yaml.SafeLoader` takes any size, any depth and any aliases: a few hundred bytes whose aliases name
aliases become gigabytes as soon as somebody prints them. (A model's `inference.yml` has rules of
its own, see `worker.model.yaml_tree`.)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

__all__ = ["BoundedLoader", "TooLargeError", "read_text"]

T = TypeVar("T")

MAX_BYTES = 256 * 1024
"""Largest file: twenty times `configs/worker.yaml`."""

MAX_SIZE = 1_000_000
"""Most values and characters of them, each alias counted as what it names."""

MAX_DEPTH = 64
"""Deepest nesting."""

MAX_NUMBER = 100
"""Characters of a number: Python refuses to print integers of some thousand digits."""

_NOT_OF_ITS_TYPE = (ArithmeticError, AttributeError, LookupError, ValueError)
"""How PyYAML takes text that is tagged as a number, a time or a truth value and is none."""


class TooLargeError(yaml.YAMLError):
    """A document is beyond a limit; the message goes on after the file's name."""


def read_text(path: Path) -> str:
    """Read a file.

    Returns:
        Its text.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
        TooLargeError: it is larger than `MAX_BYTES`.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise TooLargeError(f"is larger than {MAX_BYTES // 1024} KiB")
    return data.decode("utf-8")


class BoundedLoader(yaml.SafeLoader):
    """A `yaml.SafeLoader` that refuses what is nested too deeply or grows too large.

    Its `get_single_node` raises `TooLargeError`, in addition to the errors of the base class.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        # Invariant: of each node that is complete, how large it is with its aliases replaced.
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose the next node.

        Returns:
            The node; for an alias the very node that it names.
        """
        if self._depth == MAX_DEPTH:
            raise TooLargeError("is nested too deeply")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and id(node) not in self._sizes:
            self._sizes[id(node)] = self._size(node)
        return node

    def value(self, node: yaml.Node) -> object:
        """Construct what a node means.

        Returns:
            Text, a number, a truth value, a list and the like.

        Raises:
            ValueError: it is not of the type that it is marked as.
            yaml.YAMLError: it cannot be, a list within itself for example.
        """
        try:
            value: object = self.construct_object(node, deep=True)
        except _NOT_OF_ITS_TYPE as error:
            # Of `!!bool q` the constructor says no more than KeyError.
            reason = "no such value" if isinstance(error, LookupError) else str(error)
            raise ValueError(reason) from error
        return value

    def _size(self, node: yaml.Node) -> int:
        match node:
            case yaml.MappingNode(value=pairs):
                parts = [part for pair in pairs for part in pair]
            case yaml.SequenceNode(value=items):
                parts = items
            case _:
                return 1 + len(node.value)
        # A node within itself has no size yet; there is no value of it either.
        size = 1 + sum(self._sizes.get(id(part), 0) for part in parts)
        if size > MAX_SIZE:
            raise TooLargeError(f"has more than {MAX_SIZE} values and characters, aliases replaced")
        return size


def _bounded(construct: Callable[[Any, Any], T]) -> Callable[[BoundedLoader, yaml.Node], T]:
    def number(loader: BoundedLoader, node: yaml.Node) -> T:
        if len(str(node.value)) > MAX_NUMBER:
            raise ValueError(f"a number of more than {MAX_NUMBER} characters")
        return construct(loader, node)

    return number


for _name, _construct in (
    ("int", yaml.SafeLoader.construct_yaml_int),
    ("float", yaml.SafeLoader.construct_yaml_float),
):
    BoundedLoader.add_constructor(f"tag:yaml.org,2002:{_name}", _bounded(_construct))
