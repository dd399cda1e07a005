"""The effective settings and their sources, for people and for programs; secrets are not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from worker.redaction import REDACTED, without_secrets
from worker.settings.registry import Setting, describe

if TYPE_CHECKING:
    from rich.console import Console

    from worker.settings import Settings
    from worker.settings.sources import Loaded

__all__ = ["print_settings"]

_WIDEST = 44


def print_settings(loaded: Loaded, *, as_json: bool, console: Console) -> None:
    """Print each setting with its value and source: a table, or one JSON object by dotted key."""
    values = {key: _value(loaded.settings, setting) for key, setting in describe().items()}
    if as_json:
        console.print_json(
            data={
                key: {"value": value, "source": loaded.sources[key]}
                for key, value in values.items()
            }
        )
        return
    rows = [
        ("Setting", "Value", "Source"),
        *((key, _plain(value), loaded.sources[key]) for key, value in values.items()),
    ]
    widths = [min(max(len(row[column]) for row in rows), _WIDEST) for column in range(2)]
    for key, text, source in rows:
        line = Text(f"{key:<{widths[0]}}  {text:<{widths[1]}}  {source}")
        if source == "default":
            line.stylize("dim")
        # Never folded: a line is a setting, and grep finds it whole.
        console.print(line, soft_wrap=True)


def _value(settings: Settings, setting: Setting) -> object:
    value: Any = settings.model_dump(mode="json")
    for name in setting.key.split("."):
        value = value[name]
    if setting.secret and value is not None:
        return REDACTED
    return without_secrets(value) if isinstance(value, str) else value


def _plain(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list():
            return ",".join(map(str, value))
        case _:
            return str(value)
