"""The JSON form of categories: the same in results, in HTTP responses and in printed output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from worker.contract.jobs import Category

__all__ = ["categories_from_json", "categories_to_json"]


def categories_to_json(categories: Iterable[Category]) -> list[dict[str, Any]]:
    """Encode categories.

    Returns:
        One object with `id`, `name` and `score` for each, in the same order.
    """
    return [
        {"id": category.id, "name": category.name, "score": category.score}
        for category in categories
    ]


def categories_from_json(values: Iterable[Any]) -> tuple[Category, ...]:
    """Decode what `categories_to_json` made, or claims to have made: nothing is trusted.

    Returns:
        The categories, in the order of `values`.

    Raises:
        LookupError: a field is missing.
        TypeError: `values` is no array, or one of them is no object, or a field has a wrong type.
        ValueError: a field is no number.
    """
    return tuple(
        Category(int(each["id"]), str(each["name"]), float(each["score"])) for each in values
    )
