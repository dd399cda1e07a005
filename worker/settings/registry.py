"""The list of all settings, read off the models: what the loaders, errors and documents share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from inspect import getdoc
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import SecretStr

from worker.device import Device
from worker.settings import Group, Settings, Unit
from worker.settings.durations import Duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic.fields import FieldInfo

__all__ = ["ENV_PREFIX", "Setting", "describe", "group_docs"]

ENV_PREFIX = "WORKER_"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, described.

    Attributes:
        key: dotted, `kafka.sasl.password`.
        env: its environment variable, `WORKER_KAFKA__SASL__PASSWORD`.
        expected: what its values look like, in words.
        default: its value when no source gives one.
        unit: `seconds`, `bytes`, or empty.
        sentence: what it does.
        secret: its value is never shown.
        text: its values are text, so that `123` is not read as a number.
        many: its value is a list.
    """

    key: str
    env: str
    expected: str
    default: object
    unit: str
    sentence: str
    secret: bool
    text: bool
    many: bool


@cache
def describe() -> Mapping[str, Setting]:
    """Describe all settings.

    Returns:
        The settings by dotted key, in the order of the models.
    """
    return MappingProxyType({setting.key: setting for setting in _settings(Settings, "")})


@cache
def group_docs() -> Mapping[str, str]:
    """Describe the groups of settings.

    Returns:
        The first line of each group's documentation, by dotted key.
    """
    return MappingProxyType(dict(_groups(Settings, "")))


def _settings(group: type[Group], prefix: str) -> Iterator[Setting]:
    for name, field in group.model_fields.items():
        key = prefix + name
        if subgroup := _as_group(field.annotation):
            yield from _settings(subgroup, f"{key}.")
        else:
            yield _setting(key, field)


def _groups(group: type[Group], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in group.model_fields.items():
        if subgroup := _as_group(field.annotation):
            key = prefix + name
            yield key, (getdoc(subgroup) or "").partition("\n")[0]
            yield from _groups(subgroup, f"{key}.")


def _as_group(annotation: object) -> type[Group] | None:
    if isinstance(annotation, type) and issubclass(annotation, Group):
        return annotation
    return None


def _setting(key: str, field: FieldInfo) -> Setting:
    kinds = _alternatives(field.annotation)
    kind = kinds[0]
    unit = next((mark.name for mark in field.metadata if isinstance(mark, Unit)), "")
    expected = _expected(kind, field.metadata)
    if unit:
        expected += f" ({unit})"
    if NoneType in kinds:
        expected += ", or null"
    return Setting(
        key=key,
        env=ENV_PREFIX + key.upper().replace(".", "__"),
        expected=expected,
        default=str(field.default) if kind is Device else field.default,
        unit=unit,
        sentence=field.description or "",
        secret=kind is SecretStr,
        text=kind in (str, Device, SecretStr, Path) or get_origin(kind) is Literal,
        many=get_origin(kind) is tuple,
    )


def _alternatives(annotation: object) -> tuple[object, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


_IN_WORDS = (
    (bool, "true or false"),
    (Path, "a path"),
    (Duration, "a duration such as 10s, 1m or 1h, or a number of seconds"),
)


def _expected(kind: object, constraints: Sequence[object]) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return _list_of(get_args(kind)[0])
    for plain, words in _IN_WORDS:
        if kind == plain:
            return words
    if kind in (int, float):
        return ("a whole number" if kind is int else "a number") + _bounds(constraints)
    filled = any(isinstance(constraint, annotated_types.MinLen) for constraint in constraints)
    return "non-empty text" if filled else "text"


def _list_of(element: object) -> str:
    if element == Duration:
        return "a list of durations such as 10s, 1m, 10m"
    return "a list of text" if element is str else "a list of networks such as 10.0.0.0/8"


def _bounds(constraints: Sequence[object]) -> str:
    words = []
    for constraint in constraints:
        match constraint:
            case annotated_types.Ge(ge=bound):
                words.append(f"from {bound}")
            case annotated_types.Gt(gt=bound):
                words.append(f"above {bound}")
            case annotated_types.Le(le=bound):
                words.append(f"up to {bound}")
            case annotated_types.Lt(lt=bound):
                words.append(f"below {bound}")
            case _:
                continue
    return "".join(f" {word}" for word in words)
