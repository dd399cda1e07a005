"""The options of a job, wherever producers put them: fields, headers, a query, a form.

Each may be said in several places; what is said twice must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

import orjson

from worker.errors import JobError, Reason

__all__ = [
    "MAX_DEADLINE_MS",
    "MAX_JOB_ID",
    "OPTIONS",
    "Given",
    "deadline",
    "header_name",
    "job_id",
    "kind_of",
    "spelled",
    "top_k",
    "visualize",
    "wrong",
]

MAX_JOB_ID = 512
"""Longest job id accepted, in characters; it is copied into every message about the job."""

MAX_DEADLINE_MS = 253_402_300_799_999
"""The end of the year 9999: beyond it somebody sent micro- or nanoseconds."""

MAX_TOP_K = 2**31 - 1
"""More categories than any network has; a larger number means the same, which is all of them."""

OPTIONS = frozenset({"jobid", "topk", "visualize", "deadlinems"})
"""Options outside of JSON, as `header_name` spells them."""

MAX_SHOWN = 80

Given = Mapping[str, Sequence[tuple[str, object]]]
"""What was said, by option: pairs of where, for messages, and of the value. None says nothing."""

T = TypeVar("T")


def header_name(name: str) -> str:
    """A header's name in lower case without `-` and `_`.

    `top-k`, `topK` and `TOP_K` are one option: spelling differs between client libraries.
    """
    return name.lower().replace("-", "").replace("_", "")


def spelled(pairs: Iterable[tuple[str, str]], kind: str) -> Given:
    """The options among `pairs` of name and text; messages call each a `kind`.

    Texts are read as the JSON values they spell, so that one set of checks serves all ways in.
    """
    given: dict[str, list[tuple[str, object]]] = {}
    for name, text in pairs:
        option = header_name(name)
        if option in OPTIONS:
            value = text if option == "jobid" else _spelled_value(text)
            given.setdefault(option, []).append((f"{kind} {name[:MAX_SHOWN]!r}", value))
    return given


def job_id(given: Iterable[tuple[str, object]]) -> str | None:
    """The job's name.

    Raises:
        JobError: it is no string, or too long, or two are given.
    """
    return _agreed(given, _checked_job_id)


def top_k(given: Iterable[tuple[str, object]]) -> int | None:
    """How many categories are wanted.

    Raises:
        JobError: it is no whole number from 1 up, or two are given.
    """
    return _agreed(given, _checked_top_k)


def visualize(given: Iterable[tuple[str, object]]) -> bool | None:
    """Whether a picture is wanted.

    Raises:
        JobError: it is neither true nor false, or both.
    """
    return _agreed(given, _checked_visualize)


def deadline(given: Iterable[tuple[str, object]]) -> float | None:
    """The deadline, in seconds since the epoch.

    Raises:
        JobError: it is no time in milliseconds, or two are given.
    """
    milliseconds = _agreed(given, _checked_deadline)
    return None if milliseconds is None else milliseconds / 1000


def _agreed(given: Iterable[tuple[str, object]], check: Callable[[str, Any], T]) -> T | None:
    first: tuple[str, T] | None = None
    for where, value in given:
        if value is None:
            continue
        checked = check(where, value)
        if first is None:
            first = where, checked
        elif checked != first[1]:
            raise JobError(
                Reason.WRONG_FIELD,
                f"{first[0]} says {_shown(first[1])}, but {where} says {_shown(checked)}; "
                "say it once, or alike",
            )
    return None if first is None else first[1]


def _checked_job_id(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise wrong(where, "a string", value)
    if len(value) > MAX_JOB_ID:
        raise JobError(
            Reason.WRONG_FIELD,
            f"{where} has {len(value)} characters; at most {MAX_JOB_ID} are accepted",
        )
    return value


def _checked_top_k(where: str, value: object) -> int:
    # JSON knows one kind of number: 5 and 5.0 are the same to it and to the schema.
    if not _is_number(value) or value < 1 or value % 1 != 0:
        raise wrong(where, "a whole number from 1 up", value)
    return int(min(value, MAX_TOP_K))


def _checked_visualize(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise wrong(where, "true or false", value)
    return value


def _checked_deadline(where: str, value: object) -> float:
    if not _is_number(value) or not 0 <= value <= MAX_DEADLINE_MS:
        raise wrong(where, "milliseconds since 1970-01-01 UTC", value)
    return value


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _spelled_value(text: str) -> object:
    try:
        return orjson.loads(text.lower())
    except orjson.JSONDecodeError:
        return text


def wrong(where: str, expected: str, got: object) -> JobError:
    """A value of the wrong kind."""
    # Scalars are shown as they came, long and nested values only by kind: messages stay one line.
    shown = kind_of(got) if isinstance(got, list | dict) else _shown(got)
    return JobError(Reason.WRONG_FIELD, f"{where} must be {expected}, not {shown}")


def kind_of(value: object) -> str:
    """What JSON calls a value of this kind."""
    names = {
        list: "an array",
        dict: "an object",
        str: "a string",
        bool: "a boolean",
        type(None): "null",
    }
    return names.get(type(value), "a number")


def _shown(value: object) -> str:
    # Not all that headers and queries can hold is text to JSON.
    if isinstance(value, str):
        value = value.encode(errors="replace").decode()
    text = orjson.dumps(value).decode()
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
