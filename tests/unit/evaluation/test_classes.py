"""Which class of a model is which class of the data."""

from __future__ import annotations

import pytest

from worker.errors import DatasetError
from worker.evaluation.classes import almost_equal, match_classes


def test_classes_are_matched_by_name_in_whatever_order() -> None:
    classes = match_classes(["cat", "dog", "eel"], ["eel", "fox", "cat"])
    assert classes.names == ("cat", "dog", "eel", "fox")
    assert classes.of_model == 3
    assert (classes.only_model, classes.only_data) == (("dog",), ("fox",))
    assert classes.of_outputs.tolist() == [0, 1, 2]


def test_two_outputs_of_one_name_are_one_class() -> None:
    classes = match_classes(["crane", "owl", "crane"], ["crane"])
    assert classes.names == ("crane", "owl")
    assert classes.of_outputs.tolist() == [0, 1, 0]
    assert classes.of_model == 2


def test_one_of_several_names_is_enough_where_no_other_class_has_it() -> None:
    outputs = ["drum, membranophone", "crane, bird", "crane, machine", "oboe", "oboe, hautbois"]
    classes = match_classes(outputs, ["membranophone", "crane", "oboe", "drum"])
    assert classes.taken == {"membranophone": outputs[0], "drum": outputs[0]}
    # A whole name comes before a part of another one.
    assert classes.numbers()["oboe"] == 3
    assert classes.numbers()["drum"] == classes.numbers()["membranophone"] == 0
    assert classes.only_data == ("crane",)
    assert classes.only_model == (outputs[1], outputs[2], outputs[4])


def test_names_without_a_counterpart_are_refused_with_some_of_each() -> None:
    labels = [f"flower {number}" for number in range(7)]
    with pytest.raises(DatasetError) as refusal:
        match_classes(["0", "1"], labels)
    message = str(refusal.value)
    assert "'flower 0', 'flower 1', 'flower 2', 'flower 3', 'flower 4' and 2 more" in message
    assert "the model has '0', '1'. Classes are matched by name" in message
    assert "label_list" in message


def test_names_that_are_written_differently_are_found() -> None:
    classes = match_classes(["Bald Eagle", "dog", "cat"], ["bald_eagle", "cat", "Hund"])
    assert almost_equal(classes) == [("bald_eagle", "Bald Eagle")]


def test_the_other_spelling_may_be_a_class_of_the_data_as_well() -> None:
    classes = match_classes(["Coffee", "tea", "C++"], ["Coffee", "coffee", "C#"])
    assert almost_equal(classes) == [("coffee", "Coffee")]
