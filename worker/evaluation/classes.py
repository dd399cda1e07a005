"""The classes of a model and of a data set, matched by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.datasets.labels import plain_form
from worker.errors import DatasetError
from worker.wording import first_few

__all__ = ["Classes", "almost_equal", "match_classes"]

SYNONYMS = ", "
"""Between the names of one class: so ImageNet's labels are written."""

MOST_NAMED = 5
"""Names of each side that an error shows."""


@dataclass(frozen=True, slots=True)
class Classes:
    """All classes of a model and of a data set; a class is known by its place among them.

    Attributes:
        names: the model's first, then those of the data alone; each once.
        of_outputs: `[C] intp`: the class of each of the network's scores. ImageNet, for one, has
            two outputs that are called crane.
        of_model: how many the model has: the first ones.
        taken: of names of the data, the model's class that is meant: of `drum, membranophone` each
            is a name.
        only_model: names that the data lack.
        only_data: names that the model lacks. Whatever it answers to their images is wrong.
    """

    names: tuple[str, ...]
    of_outputs: npt.NDArray[np.intp]
    of_model: int
    taken: Mapping[str, str]
    only_model: tuple[str, ...]
    only_data: tuple[str, ...]

    def numbers(self) -> dict[str, int]:
        """Number the classes.

        Returns:
            The place of each by every name that it goes by.
        """
        numbers = {name: number for number, name in enumerate(self.names)}
        return numbers | {label: numbers[name] for label, name in self.taken.items()}


def match_classes(outputs: Sequence[str], labels: Sequence[str]) -> Classes:
    """Match classes by name, or by one of several names that the model has for a class.

    Args:
        outputs: the name of each of the network's scores.
        labels: the names of the data set's classes.

    Returns:
        All classes.

    Raises:
        DatasetError: no name is on both sides; the message shows some of each.
    """
    model, data = dict.fromkeys(outputs), dict.fromkeys(labels)
    synonyms = _synonyms(model)
    taken = {name: synonyms[name] for name in data if name not in model and name in synonyms}
    only_data = tuple(name for name in data if name not in model and name not in taken)
    met = {*data, *taken.values()}
    only_model = tuple(name for name in model if name not in met)
    if len(only_data) == len(data):
        raise DatasetError(
            f"no class of the data set is one of the model. The data set has {_some(only_data)}; "
            f"the model has {_some(only_model)}. Classes are matched by name: give the folders, or "
            "label.txt, the model's names; or name the data's classes in the model's inference.yml "
            "(PostProcess, label_list)"
        )
    names = (*model, *only_data)
    numbers = {name: number for number, name in enumerate(names)}
    of_outputs = np.array([numbers[name] for name in outputs], np.intp)
    return Classes(names, of_outputs, len(model), taken, only_model, only_data)


def _synonyms(names: Iterable[str]) -> dict[str, str]:
    """By each part of a name such as `drum, membranophone`, the name that no other has it in."""
    found: dict[str, list[str]] = {}
    for name in names:
        for part in dict.fromkeys(name.split(SYNONYMS)):
            found.setdefault(part, []).append(name)
    return {part: whole[0] for part, whole in found.items() if len(whole) == 1}


def almost_equal(classes: Classes) -> list[tuple[str, str]]:
    """Find names that differ in case, spaces, hyphens and underscores alone: mostly slips.

    Returns:
        Pairs of a name of the data alone and one of the model, which the data may have as well.
    """
    model = classes.names[: classes.of_model]
    by_form = {plain_form(name): name for name in (*reversed(model), *classes.only_model)}
    found = ((name, by_form.get(plain_form(name))) for name in classes.only_data)
    return [(data, other) for data, other in found if other is not None]


def _some(names: Sequence[str]) -> str:
    return first_few(list(map(repr, names)), MOST_NAMED)
