"""What `PostProcess` of an `inference.yml` means: labels, and which of them are answered.

The meanings are PaddleX's (`deploy/python/postprocess.py` of PaddleClas, and
`inference/models/image_multilabel_classification` of PaddleX, which adds thresholds by class).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.model.fields import Field, nearest, shown
from worker.model.labels import check_text, labels_of
from worker.model.rules import EVERY, AllAbove, BestAbove, BestOnes, Rule
from worker.model.yaml_tree import ConfigError

__all__ = ["PostProcessing", "post_processing"]

_LABELS = ("label_list", "class_id_map_file", "delimiter")
_RULES: Mapping[str, Sequence[str]] = {
    "Topk": ("topk", *_LABELS),
    "ThreshOutput": ("threshold", "default_label_index", "label_0", "label_1", *_LABELS),
    "MultiLabelThreshOutput": ("threshold", *_LABELS),
}
_MAIN = "main_indicator"
"""Which result of several PaddleX prints; here there is only one."""

DEFAULT_TOP_K = 5


@dataclass(frozen=True, slots=True)
class PostProcessing:
    """How scores become categories.

    Attributes:
        labels: in class order; empty when the model brings none.
        top_k: most categories of an answer, unless the job asks for another number.
        files: beside `inference.yml`, those that belong to it.
    """

    labels: tuple[str, ...]
    top_k: int
    rule: Rule
    files: Sequence[Path] = ()


def post_processing(section: Field, directory: Path) -> PostProcessing:
    """Read the section `PostProcess`.

    Args:
        directory: the model's, where a file of labels is looked for.

    Returns:
        What it asks for; the five best classes if it is empty.

    Raises:
        ConfigError: it asks for something else, or a value cannot be.
    """
    name, field = _only_rule(section)
    if field is None:
        return PostProcessing((), DEFAULT_TOP_K, BestOnes())
    options = field.table(_RULES[name])
    labels, files = labels_of(options, directory)
    match name:
        case "Topk":
            top_k = options["topk"].count() if "topk" in options else DEFAULT_TOP_K
            return PostProcessing(labels, top_k, BestOnes(), files)
        case "ThreshOutput":
            labels = _of_two(options, labels)
            return PostProcessing(labels, 1, _best_above(field, options), files)
        case _:
            return PostProcessing(labels, EVERY, _all_above(options.get("threshold")), files)


def _only_rule(section: Field) -> tuple[str, Field | None]:
    entries = section.entries(f"{section.name}.")
    main = entries.pop(_MAIN, None)
    for name in entries:
        if name not in _RULES:
            raise ConfigError(
                f"{section.name}.{shown(name)} is not supported here; the nearest known one is "
                f"{nearest(name, _RULES)}",
                section.line_of(name),
            )
    if len(entries) > 1:
        first, second = list(entries)[:2]
        raise ConfigError(
            f"{section.name} has {first} and {second}: keep the one that answers",
            section.line_of(second),
        )
    name = next(iter(entries), "Topk")
    if main is not None and not main.is_null and main.text() != name:
        raise main.refusal(f"is {shown(main.text())!r}, but {section.name} has {name}")
    return name, entries.get(name)


def _best_above(step: Field, options: Mapping[str, Field]) -> BestAbove:
    if "threshold" not in options:
        raise step.refusal("needs threshold, a number from 0 to 1")
    otherwise = options.get("default_label_index")
    return BestAbove(
        threshold=options["threshold"].share(),
        otherwise=0 if otherwise is None or otherwise.is_null else otherwise.count(least=0),
    )


def _of_two(options: Mapping[str, Field], labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels of two classes, which may be named one by one."""
    named = [options.get(f"label_{number}") for number in range(2)]
    if named == [None, None]:
        return labels
    two = tuple(str(n) if field is None else field.text() for n, field in enumerate(named))
    for text, field in zip(two, named, strict=True):
        if field is not None:
            check_text(text, field)
            if labels and labels != two:
                raise field.refusal("is not what the list of labels says: keep one of them")
    return two


def _all_above(threshold: Field | None) -> AllAbove:
    """One threshold for all classes, one for each, or those of some and a default."""
    if threshold is None or threshold.is_null:
        return AllAbove()
    if threshold.is_list:
        each = threshold.items("a list", threshold.name)
        shares = {class_id: field.share() for class_id, field in enumerate(each)}
        return AllAbove(thresholds=shares, classes=len(shares))
    if not threshold.is_table:
        return AllAbove(threshold.share())
    entries = threshold.entries(f"{threshold.name}.")
    default = entries.pop("default", None)
    if default is None:
        raise threshold.refusal("needs default, the threshold of all other classes")
    return AllAbove(
        default.share(), {_class_id(key, field): field.share() for key, field in entries.items()}
    )


def _class_id(key: str, field: Field) -> int:
    if not (key.isascii() and key.isdigit() and len(key) < 10):
        raise field.refusal("must be the threshold of a class id, or default")
    return int(key)
