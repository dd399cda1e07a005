"""Recognises PaddleX's options without a command, and says which command to use."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

__all__ = ["command_instead"]

_CONFIG, _SERVE, _PREDICT = "--get_pipeline_config", "--serve", "--pipeline"
_OTHERS = ("--install", "--paddle2onnx", "--list")
_SERVE_OPTIONS = ("--device", "--host", "--port")


def command_instead(arguments: Sequence[str]) -> str | None:
    """Find this program's command for the arguments of `paddlex`.

    Args:
        arguments: what follows the program's name.

    Returns:
        A sentence with the command; None if the arguments are not those of `paddlex`: they begin
        with a command, or no option is one of `paddlex` alone.
    """
    if not arguments or not arguments[0].startswith("-"):
        return None
    given = _parse(arguments)
    if _CONFIG in given:
        rest = _joined(given, "--save_path")
        return _use(f"config {shlex.quote(given[_CONFIG] or 'image_classification')}{rest}")
    if _SERVE in given:
        return _use(f"serve{_joined(given, *_SERVE_OPTIONS)}")
    if _PREDICT in given:
        return _use(f"predict {shlex.join(arguments)}")
    if other := next((option for option in _OTHERS if option in given), None):
        return (
            f"{other} is an option of paddlex, and nothing here needs it: see docs/from-paddlex.md"
        )
    return None


def _use(command: str) -> str:
    return f"options follow a command here:\n    classify-worker {command}"


def _parse(arguments: Sequence[str]) -> dict[str, str]:
    """Each option with its value, as `--name value` or `--name=value`; flags have an empty one."""
    given: dict[str, str] = {}
    name = ""
    for argument in arguments:
        if argument.startswith("--"):
            name, _, value = argument.partition("=")
            name = "--" + name[2:].replace("-", "_")
            given[name] = value
        elif name and not given[name]:
            given[name] = argument
    return given


def _joined(given: dict[str, str], *names: str) -> str:
    return "".join(f" {name} {shlex.quote(given[name])}" for name in names if given.get(name))
