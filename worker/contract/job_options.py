"""The options of a job, from wherever producers give them: fields, headers, a query, a form.

An option may be given in several places if it has the same value in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

import orjson

from worker.contract.headers import JOB_ID, JOB_OPTIONS, fold_name
from worker.errors import JobError, Reason

__all__ = [
    "MAX_DEADLINE_MS",
    "MAX_JOB_ID",
    "Given",
    "given_options",
    "json_type",
    "read_deadline",
    "read_job_id",
    "read_top_k",
    "read_visualize",
    "wrong_type",
]

MAX_JOB_ID = 512
"""Longest job id accepted, in characters; it is copied into every message about the job."""

MAX_DEADLINE_MS = 253_402_300_799_999
"""The end of the year 9999. A larger number is in micro- or nanoseconds by mistake."""

MAX_TOP_K = 2**31 - 1
"""More categories than any network has. Every larger number means the same: all of them."""

MAX_SHOWN = 80

Given = Mapping[str, Sequence[tuple[str, object]]]
"""Values by option (`JOB_ID`, `TOP_K`, ...), each with the place where it was given, for messages.
The value None counts as not given."""

_OPTIONS = {fold_name(name): name for name in JOB_OPTIONS}

T = TypeVar("T")


def given_options(pairs: Iterable[tuple[str, str]], kind: str) -> Given:
    """Find the job options among pairs of name and text.

    A text that is a JSON value is read as one, so that the same checks serve headers, query
    parameters, form fields and documents.

    Args:
        pairs: headers, query parameters or form fields, in any spelling.
        kind: what error messages call a pair, such as `header`.

    Returns:
        For each option that was found, all values given for it, each with a description of its
        place.
    """
    given: dict[str, list[tuple[str, object]]] = {}
    for name, text in pairs:
        option = _OPTIONS.get(fold_name(name))
        if option is not None:
            value = text if option == JOB_ID else _json_or_text(text)
            given.setdefault(option, []).append((f"{kind} {name[:MAX_SHOWN]!r}", value))
    return given


def read_job_id(given: Iterable[tuple[str, object]]) -> str | None:
    """Read the job's own name.

    Returns:
        The name; None if none is given.

    Raises:
        JobError: it is no string, or too long, or two different ones are given.
    """
    return _read_same(given, _check_job_id)


def read_top_k(given: Iterable[tuple[str, object]]) -> int | None:
    """Read how many categories are wanted.

    Returns:
        The number, 1 or more; None if none is given.

    Raises:
        JobError: it is no whole number from 1 up, or two different ones are given.
    """
    return _read_same(given, _check_top_k)


def read_visualize(given: Iterable[tuple[str, object]]) -> bool | None:
    """Read whether a picture is wanted.

    Returns:
        Whether a picture is wanted; None if the job does not say.

    Raises:
        JobError: it is neither true nor false, or both are given.
    """
    return _read_same(given, _check_visualize)


def read_deadline(given: Iterable[tuple[str, object]]) -> float | None:
    """Read the deadline, which is given in milliseconds since the epoch.

    Returns:
        Seconds since the epoch.

    Raises:
        JobError: it is no time in milliseconds, or two different ones are given.
    """
    milliseconds = _read_same(given, _check_deadline)
    return None if milliseconds is None else milliseconds / 1000


def _read_same(given: Iterable[tuple[str, object]], check: Callable[[str, Any], T]) -> T | None:
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


def _check_job_id(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise wrong_type(where, "a string", value)
    if len(value) > MAX_JOB_ID:
        raise JobError(
            Reason.WRONG_FIELD,
            f"{where} has {len(value)} characters; at most {MAX_JOB_ID} are accepted",
        )
    return value


def _check_top_k(where: str, value: object) -> int:
    # JSON has one type of number: 5 and 5.0 are the same to the schema.
    if not _is_number(value) or value < 1 or value % 1 != 0:
        raise wrong_type(where, "a whole number from 1 up", value)
    return int(min(value, MAX_TOP_K))


def _check_visualize(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise wrong_type(where, "true or false", value)
    return value


def _check_deadline(where: str, value: object) -> float:
    if not _is_number(value) or not 0 <= value <= MAX_DEADLINE_MS:
        raise wrong_type(where, "milliseconds since 1970-01-01 UTC", value)
    return value


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _json_or_text(text: str) -> object:
    try:
        return orjson.loads(text.lower())
    except orjson.JSONDecodeError:
        return text


def wrong_type(where: str, expected: str, got: object) -> JobError:
    """Make the error for a value of the wrong type.

    Args:
        where: names the field or header.
        expected: the type that is accepted, with its article.
        got: the value.

    Returns:
        The error, not raised.
    """
    # Nested values are named by their type only, so that messages stay on one line.
    shown = json_type(got) if isinstance(got, list | dict) else _shown(got)
    return JobError(Reason.WRONG_FIELD, f"{where} must be {expected}, not {shown}")


def json_type(value: object) -> str:
    """Name the JSON type of a value, with its article.

    Returns:
        Such as `an array`, `a number` or `null`.
    """
    names = {
        list: "an array",
        dict: "an object",
        str: "a string",
        bool: "a boolean",
        type(None): "null",
    }
    return names.get(type(value), "a number")


def _shown(value: object) -> str:
    # Headers and queries can hold lone surrogates, which JSON has no text for.
    if isinstance(value, str):
        value = value.encode(errors="replace").decode()
    text = orjson.dumps(value).decode()
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
