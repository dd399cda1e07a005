"""Where settings come from: defaults, a YAML file, the environment, the command line.

A later source wins over an earlier one, setting by setting. All that is wrong in all sources is
reported at once: unknown keys with the nearest known one, wrong values with what was expected.
"""

from __future__ import annotations

import os
from collections import ChainMap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from worker.errors import SettingsError
from worker.settings import Settings
from worker.settings.registry import Setting, describe
from worker.settings.sources.command_line import read_overrides
from worker.settings.sources.environment import read_environment
from worker.settings.sources.file import read_file
from worker.settings.sources.problems import explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from worker.settings.sources.layer import Given

__all__ = ["Loaded", "Setting", "describe", "load"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force, and the source of each.

    Attributes:
        settings: checked and frozen.
        sources: for every dotted key `default`, `file PATH:LINE`, `env NAME`, `secret file PATH`
            or `command line`.
    """

    settings: Settings
    sources: Mapping[str, str]


def load(
    config: Path | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Loaded:
    """Read, merge and check all sources.

    Args:
        config: a YAML file, or None for none.
        overrides: `key=value` arguments, such as `kafka.group_id=mine`.
        environ: the environment; variables without the prefix `WORKER_` are ignored.

    Returns:
        The settings, and the source of each.

    Raises:
        SettingsError: a source cannot be read, or a setting is unknown or wrong; it lists them all.
    """
    layers = [read_overrides(overrides), read_environment(environ)]
    if config is not None:
        layers.append(read_file(config))
    problems = [problem for layer in layers for problem in layer.problems]
    # Of each setting the strongest source's value; the layers are in that order.
    given: ChainMap[str, Given] = ChainMap(*(layer.values for layer in layers))
    settings = Settings()
    try:
        settings = Settings.model_validate(_nested(given))
    except ValidationError as error:
        problems += explain(error, given)
    if problems:
        raise SettingsError("\n".join(("the settings are wrong:", *(f"  {p}" for p in problems))))
    sources = {key: given[key].source if key in given else "default" for key in describe()}
    return Loaded(settings, sources)


def _nested(given: Mapping[str, Given]) -> dict[str, Any]:
    """Nest values by their groups: `kafka.sasl.username` goes into `sasl` in `kafka`."""
    tree: dict[str, Any] = {}
    for key, value in given.items():
        *groups, name = key.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[name] = value.value
    return tree
