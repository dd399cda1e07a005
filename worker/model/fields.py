"""Typed access to what a YAML file says: every refusal names the place, the line and the remedy."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from worker.model.yaml_tree import ConfigError, Listing, Node, Scalar, Table

__all__ = ["LONGEST_VALUE", "Field", "nearest", "shown"]

LONGEST_VALUE = 100
"""Characters of a number, a choice or a file's name; YAML can spell numbers of any length."""

_MAX_SHOWN = 80

_resolver = yaml.resolver.Resolver()
_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Field:
    """A place in a file.

    Attributes:
        name: as refusals call it, `ResizeImage.size`.
        node: the YAML node there.
    """

    name: str
    node: Node

    def refusal(self, reason: str) -> ConfigError:
        """Make the error that says what is wrong here.

        Returns:
            The error, not raised.
        """
        return ConfigError(f"{self.name} {reason}", self.node.line)

    @property
    def is_null(self) -> bool:
        """Whether the value is empty, `~` or `null`."""
        return isinstance(self.node, Scalar) and _type_of(self.node) == _NULL

    def table(self, known: Iterable[str], prefix: str | None = None) -> dict[str, Field]:
        """Read a mapping with known keys.

        Args:
            known: the keys that are allowed here.
            prefix: what precedes the keys in names, by default this field's own and a dot.

        Returns:
            Its fields by their keys; none for null.

        Raises:
            ConfigError: it is no mapping, or has another key; the nearest known one is named.
        """
        names, before = list(known), f"{self.name}." if prefix is None else prefix
        fields = self.entries(before)
        for key in fields:
            if key not in names:
                remedy = (
                    f"the nearest known key is {before}{nearest(key, names)}"
                    if names
                    else f"{self.name} takes none"
                )
                raise ConfigError(
                    f"unknown key {before + shown(key)!r}; {remedy}", self.line_of(key)
                )
        return fields

    def entries(self, prefix: str = "") -> dict[str, Field]:
        """Read a mapping with any keys.

        Returns:
            Its fields by their keys; none for null.

        Raises:
            ConfigError: it is no mapping.
        """
        if self.is_null:
            return {}
        if not isinstance(self.node, Table):
            raise self.refusal("must be a mapping")
        return {key: Field(prefix + key, node) for key, node in self.node.entries.items()}

    def items(self, what: str, each: str) -> list[Field]:
        """Read a list.

        Args:
            what: what must be here, for the refusal.
            each: the name of an item.

        Returns:
            Its fields.

        Raises:
            ConfigError: it is no list.
        """
        if not isinstance(self.node, Listing):
            raise self.refusal(f"must be {what}")
        return [Field(each, node) for node in self.node.items]

    @property
    def is_list(self) -> bool:
        """Whether the value is a list."""
        return isinstance(self.node, Listing)

    @property
    def is_table(self) -> bool:
        """Whether the value is a mapping."""
        return isinstance(self.node, Table)

    def value(self) -> object:
        """Read a scalar as YAML understands it.

        Returns:
            Text, a number, a truth value, a date or None.

        Raises:
            ConfigError: it is a list or a mapping, too long, or no value of its type.
        """
        text = self.text()
        if len(text) > LONGEST_VALUE:
            raise self.refusal(f"is longer than {LONGEST_VALUE} characters")
        assert isinstance(self.node, Scalar)
        node = yaml.ScalarNode(_type_of(self.node), text)
        try:
            value: object = yaml.constructor.SafeConstructor().construct_object(node)
        except (yaml.YAMLError, ArithmeticError, LookupError, ValueError) as error:
            # For `!!bool q` the constructor raises a KeyError that explains nothing.
            reason = "no such value" if isinstance(error, LookupError) else str(error)
            raise self.refusal(f"cannot be {text!r}: {' '.join(reason.split())}") from error
        return value

    def text(self) -> str:
        """Read a scalar as it is written, whatever YAML takes it for.

        Returns:
            The text.

        Raises:
            ConfigError: it is a list or a mapping.
        """
        if not isinstance(self.node, Scalar):
            kind = "a list" if isinstance(self.node, Listing) else "a mapping"
            raise self.refusal(f"must be one value, not {kind}")
        return self.node.text

    def flag(self) -> bool:
        """Read a truth value.

        Returns:
            The value.

        Raises:
            ConfigError: it is none.
        """
        value = self.value()
        if not isinstance(value, bool):
            raise self.refusal(f"must be true or false, not {value!r}")
        return value

    def count(self, least: int = 1) -> int:
        """Read a whole number.

        Returns:
            A number from `least` up.

        Raises:
            ConfigError: it is none.
        """
        value = None if self.is_list else self.value()
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            shown = "a list" if self.is_list else repr(value)
            raise self.refusal(f"must be a whole number from {least} up, not {shown}")
        return value

    def number(self) -> float:
        """Read a finite number.

        Returns:
            The number.

        Raises:
            ConfigError: it is none.
        """
        value = self.value()
        try:
            # YAML takes 1e-3, which has no point, for text.
            number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self.refusal(f"must be a finite number, not {self.text()!r}")
        return number

    def share(self) -> float:
        """Read a share.

        Returns:
            A number from 0 to 1.

        Raises:
            ConfigError: it is none.
        """
        number = self.number()
        if not 0 <= number <= 1:
            raise self.refusal(f"must be a number from 0 to 1, not {self.text()}")
        return number

    def line_of(self, key: str) -> int:
        """Find the line of a key of this mapping.

        Returns:
            The line, from 1.
        """
        return self.node.lines[key] if isinstance(self.node, Table) else self.node.line


def nearest(name: str, known: Iterable[str]) -> str:
    """Find the known name that is spelled most like `name`.

    Returns:
        The name.
    """
    return difflib.get_close_matches(shown(name), list(known), n=1, cutoff=0.0)[0]


def shown(text: str) -> str:
    """Shorten a text for a message.

    Returns:
        The text, cut off where it is too long for a message.
    """
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def _type_of(node: Scalar) -> str:
    if node.tag is not None:
        return node.tag
    # Quoted text is text.
    implicit = (node.plain, not node.plain)
    tag: str = _resolver.resolve(yaml.ScalarNode, node.text, implicit)  # type: ignore[no-untyped-call]
    return tag
