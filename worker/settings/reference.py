"""The documents about settings, made from the models so that they cannot disagree with them.

`python -m worker.settings.reference configs/worker.yaml docs/settings.md` writes both.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from worker.settings.base import MiB
from worker.settings.registry import Setting, describe, group_docs

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["render_reference_yaml", "render_settings_table"]

_WIDTH = 100

_YAML_HEAD = """\
# Every setting of the worker with its default; leave out what you do not change. Made from the
# settings models by `python -m worker.settings.reference`; docs/settings.md is the same as a
# table, and says how to set these from the environment or the command line.
"""

_TABLE_HEAD = """\
# Settings

Made from the settings models by `python -m worker.settings.reference`, like
[configs/worker.yaml](../configs/worker.yaml), which holds every setting with its default. The
[glossary](glossary.md) explains words such as *slot* and *linger*.

A setting comes from, the later the stronger:

1. its default;
2. the YAML file given with `--config`: `kafka:` and, indented below it, `group_id: mine`; it is at
   most 256 KiB large;
3. the environment: `WORKER_KAFKA__GROUP_ID=mine`, that is `WORKER_` and the key in upper case with
   `__` for each dot. With `_FILE` appended the variable names a file that holds the value:
   `WORKER_KAFKA__SASL__PASSWORD_FILE=/run/secrets/kafka`. An empty variable counts as unset, but
   for lists, where it is the empty list; lists are separated by commas or are JSON arrays;
4. the command line: `kafka.group_id=mine`, the value written as in YAML.

`classify-worker config` prints the effective settings and where each came from. Unknown keys, in
whichever source, are errors that name the nearest known key; so are variables that begin with
`WORKER_` and are no settings.
"""


def render_reference_yaml() -> str:
    """Write a configuration file that shows every setting, its meaning, unit and default.

    Returns:
        The YAML text.
    """
    lines = [_YAML_HEAD.rstrip()]
    opened: set[str] = set()
    for setting in describe().values():
        for group in _groups_of(setting):
            if group not in opened:
                opened.add(group)
                indent = "  " * group.count(".")
                lines += ["", *_comment(group_docs()[group], indent)]
                lines.append(f"{indent}{group.rpartition('.')[2]}:")
        indent = "  " * setting.key.count(".")
        if not indent:
            lines.append("")
        lines += _comment(_meaning(setting), indent)
        unit = f"  # {_unit(setting)}" if setting.unit else ""
        lines.append(f"{indent}{setting.key.rpartition('.')[2]}: {_default(setting)}{unit}")
    return "\n".join(lines) + "\n"


def render_settings_table() -> str:
    """Write a table of all settings for each group.

    Returns:
        The Markdown text.
    """
    lines = [_TABLE_HEAD.rstrip()]
    group: str | None = None
    for setting in describe().values():
        if setting.key.rpartition(".")[0] != group:
            group = setting.key.rpartition(".")[0]
            heading = [f"## {group}", "", group_docs()[group]] if group else ["## General"]
            lines += ["", *heading, "", "| Key | Default | Value | Meaning |", "|---|---|---|---|"]
        cells = (f"`{setting.key}`", f"`{_default(setting)}`", setting.expected, setting.sentence)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _groups_of(setting: Setting) -> Iterator[str]:
    names = setting.key.split(".")[:-1]
    for depth in range(len(names)):
        yield ".".join(names[: depth + 1])


def _comment(text: str, indent: str) -> list[str]:
    prefix = f"{indent}# "
    return textwrap.wrap(text, _WIDTH, initial_indent=prefix, subsequent_indent=prefix)


def _meaning(setting: Setting) -> str:
    if setting.expected.startswith("one of "):
        return f"{setting.sentence} {setting.expected.replace('one', 'One', 1)}."
    if setting.secret:
        return f"{setting.sentence} Better in a file of its own, named by {setting.env}_FILE."
    return setting.sentence


def _default(setting: Setting) -> str:
    default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    return yaml.safe_dump(default, default_flow_style=True).partition("\n")[0]


def _unit(setting: Setting) -> str:
    size = setting.default
    if setting.unit == "bytes" and isinstance(size, int) and size % MiB == 0:
        return f"bytes ({size // MiB} MiB)"
    return setting.unit


if __name__ == "__main__":
    for path, render in zip(
        sys.argv[1:], (render_reference_yaml, render_settings_table), strict=True
    ):
        Path(path).write_text(render(), "utf-8")
