"""Refuses settings of the command line that a command would not follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.errors import SettingsError
from worker.settings.sources.command_line import SOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.settings.sources import Loaded

__all__ = ["refuse_others"]


def refuse_others(
    loaded: Loaded, command: str, followed: Sequence[str], excepted: Sequence[str] = ()
) -> None:
    """Refuse a setting of the command line that would have no effect.

    One in a file or in the environment is meant for the worker, and is not refused.

    Args:
        command: that it was given to, for the message.
        followed: settings that it follows, and groups of them, which end in a dot.
        excepted: settings of these groups that it does not follow.

    Raises:
        SettingsError: naming all of them, and what is followed.
    """
    groups = tuple(each for each in followed if each.endswith("."))
    others = [
        key
        for key, source in loaded.sources.items()
        if source == SOURCE and (key in excepted or not (key in followed or key.startswith(groups)))
    ]
    if others:
        names = ", ".join(f"{each}*" if each in groups else each for each in followed)
        raise SettingsError(
            f"{command}: {', '.join(others)}: of no effect here, but on the worker (run, serve); "
            f"{command} follows {names}"
        )
