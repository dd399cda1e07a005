"""Categories to JSON and back."""

from __future__ import annotations

import pytest

from worker.contract.categories import categories_from_json, categories_to_json
from worker.contract.jobs import Category

RABBIT, CAT = Category(5, "Rabbit", 0.93), Category(285, "Ägyptische Mau", 0.04)


def test_each_is_an_object_with_three_fields_in_the_same_order() -> None:
    assert categories_to_json((RABBIT, CAT)) == [
        {"id": 5, "name": "Rabbit", "score": 0.93},
        {"id": 285, "name": "Ägyptische Mau", "score": 0.04},
    ]


@pytest.mark.parametrize("categories", [(), (RABBIT,), (RABBIT, CAT)])
def test_what_was_written_is_read(categories: tuple[Category, ...]) -> None:
    assert categories_from_json(categories_to_json(categories)) == categories


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (5, TypeError),
        ([5], TypeError),
        ([{"id": 5, "name": "Rabbit"}], LookupError),
        ([{"id": None, "name": "Rabbit", "score": 0.93}], TypeError),
        ([{"id": 5, "name": "Rabbit", "score": "high"}], ValueError),
        ([{"id": 5, "name": "Rabbit", "score": "0.5"}], ValueError),
        ([{"id": 5, "name": "Rabbit", "score": float("nan")}], ValueError),
        ([{"id": 1e300, "name": "Rabbit", "score": 0.93}], TypeError),
        ([{"id": "5", "name": "Rabbit", "score": 0.93}], TypeError),
        ([{"id": True, "name": "Rabbit", "score": 0.93}], TypeError),
        ([{"id": 5, "name": ["Rabbit"], "score": 0.93}], TypeError),
    ],
)
def test_anything_else_is_refused(values: list[object], error: type[Exception]) -> None:
    with pytest.raises(error):
        categories_from_json(values)
