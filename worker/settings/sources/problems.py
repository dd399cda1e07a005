"""Pydantic's validation errors as sentences: which setting, from where, what was expected."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from worker.redaction import without_secrets
from worker.settings.registry import describe, group_docs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from worker.settings.sources.layer import Given

__all__ = ["explain"]

_MAX_SHOWN = 80


def explain(error: ValidationError, given: Mapping[str, Given]) -> list[str]:
    """Explain a validation error.

    Returns:
        One sentence for each setting, or group of settings that do not go together.
    """
    sentences: dict[str, None] = {}  # in order, each once
    for detail in error.errors(include_url=False):
        path = [str(part) for part in detail["loc"]]
        # An error inside a list has its index after the setting's own path.
        while path and ".".join(path) not in describe() and ".".join(path) not in group_docs():
            path.pop()
        key = ".".join(path)
        sentence = _of_setting if key in describe() else _of_group
        sentences.setdefault(sentence(key, detail, given))
    return list(sentences)


def _of_setting(key: str, detail: ErrorDetails, given: Mapping[str, Given]) -> str:
    setting = describe()[key]
    source = f" ({given[key].source})"
    if detail["type"] == "value_error" and not setting.secret:
        return f"{key}: {_reason(detail)}{source}"
    got = "this secret" if setting.secret else without_secrets(repr(given[key].value))
    if len(got) > _MAX_SHOWN:
        got = got[:_MAX_SHOWN] + "…"
    return f"{key}: {got} is not {setting.expected}{source}"


def _of_group(key: str, detail: ErrorDetails, given: Mapping[str, Given]) -> str:
    reason = _reason(detail)
    involved = [
        f"{name} from {given[name].source}"
        for name in _settings_named(reason, key)
        if name in given
    ]
    return f"{key}: {reason}" + (f" ({', '.join(involved)})" if involved else "")


def _settings_named(sentence: str, group: str) -> Iterator[str]:
    for word in re.findall(r"[a-z_.]+", sentence):
        if f"{group}.{word}" in describe():
            yield f"{group}.{word}"


def _reason(detail: ErrorDetails) -> str:
    return detail["msg"].removeprefix("Value error, ")
