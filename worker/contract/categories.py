"""The JSON form of categories: the same in results, in HTTP responses and in printed output."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
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
        ValueError: a score is no finite number.
    """
    return tuple(_category(each) for each in values)


def _category(value: Mapping[str, Any]) -> Category:
    class_id, name, score = value["id"], value["name"], value["score"]
    # Checked, not converted: int() takes 1e300 for a number that no JSON library writes again.
    if type(class_id) is not int or not isinstance(name, str):
        raise TypeError("a category's id or name has a wrong type")
    if type(score) not in (int, float) or not math.isfinite(score):
        raise ValueError("a category's score is no number")
    return Category(class_id, name, float(score))
