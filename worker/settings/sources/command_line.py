"""Settings from the command line: `kafka.group_id=mine`, the value written as in YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from worker.bounded_yaml import BoundedLoader
from worker.settings.registry import Setting, describe, group_docs
from worker.settings.sources.layer import Layer, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_overrides"]

SOURCE = "command line"


def read_overrides(overrides: Sequence[str]) -> Layer:
    """Read `key=value` arguments; of a repeated key the last one counts.

    Returns:
        The settings in them, and what is wrong with them.
    """
    layer = Layer()
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        setting = describe().get(key)
        if not equals:
            layer.object_to(f"{SOURCE}: {_shown(override)} is not key=value")
        elif key in group_docs():
            layer.object_to(f"{SOURCE}: {key} is a group of settings; name one, as {key}.name=...")
        elif setting is None:
            layer.object_to(
                f"{SOURCE}: unknown key {key!r}; "
                f"the nearest known key is {nearest(key, describe())}"
            )
        else:
            _override(layer, setting, text)
    return layer


def _override(layer: Layer, setting: Setting, text: str) -> None:
    try:
        loader = BoundedLoader(text)
        root = loader.get_single_node()
        value = None if root is None else loader.value(root)
    except (yaml.YAMLError, ValueError):
        value = text
    if setting.text and value is not None and not isinstance(value, str):
        value = text  # a group id may look like a number, a password like anything
    layer.give(setting, value, SOURCE)


def _shown(argument: str) -> str:
    """Show an argument as far as it is the name of a setting: what follows may be a secret."""
    known = [name for name in (*describe(), *group_docs()) if argument.startswith(name)]
    name = max(known, key=len, default="")
    if not name:
        return "an argument"
    return repr(name) if name == argument else f"{name!r} and what follows it"
