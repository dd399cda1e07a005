"""The file of a baseline: JSON, written by `evaluate --baseline`, read by `drift.baseline`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from worker.cache import write_whole
from worker.errors import SettingsError, WorkerError

__all__ = ["BINS", "Baseline", "read_baseline", "write_baseline"]

FORMAT = 1
"""Raise it when a reader of this format would misunderstand what is written."""

BINS = tuple(number / 10 for number in range(11))
"""Edges of the ten bins that scores and entropies are counted in."""

MOST_BINS = 100

MAX_BYTES = 64 * 2**20
"""Largest file: twenty thousand classes with the longest names there may be are half of it."""

TOLERANCE = 1e-3
"""How far from 1 shares may add up: they are written by programs that round."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What one model answered to one data set.

    Attributes:
        model: its name.
        digest: the model's digest, `sha256:...`.
        data: the data set's digest, `sha256:...`.
        images: how many were answered, 1 or more.
        classes: by a class's whole name, the share of images that it was the best class of.
            Images without an answer have the name `none`.
        score_bins: edges of the bins of best scores, ascending from 0 to 1. A bin has its lower
            edge, the last one has both.
        scores: the share of images in each bin; one less than there are edges.
        entropy_bins: edges for entropies, as shares of the largest one, the classes' logarithm.
        entropies: the share of images in each bin; all 0 if no image has an entropy, as with a
            model of one class. So may be `scores`.
    """

    model: str
    digest: str
    data: str
    images: int
    classes: Mapping[str, float]
    score_bins: tuple[float, ...]
    scores: tuple[float, ...]
    entropy_bins: tuple[float, ...]
    entropies: tuple[float, ...]


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline; one that is there is replaced, and readers never see half of it.

    Raises:
        WorkerError: it cannot be written; the message says why.
    """
    document = {
        "format": FORMAT,
        "model": {"name": baseline.model, "digest": baseline.digest},
        "data": {"digest": baseline.data, "images": baseline.images},
        "classes": dict(baseline.classes),
        "score_bins": baseline.score_bins,
        "scores": baseline.scores,
        "entropy_bins": baseline.entropy_bins,
        "entropies": baseline.entropies,
    }
    content = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise WorkerError(f"the baseline {path} cannot be written: {error.strerror}") from error


def read_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Returns:
        The baseline; all its shares are numbers that add up to 1, or are all 0.

    Raises:
        SettingsError: it cannot be read, or is no baseline; the message says what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise _refusal(path, f"is larger than {MAX_BYTES // 2**20} MiB")
    try:
        return _baseline(orjson.loads(content))
    except orjson.JSONDecodeError as error:
        raise _refusal(path, f"is not JSON: {error}") from error
    except _NotABaselineError as error:
        raise _refusal(path, str(error)) from error


class _NotABaselineError(Exception):
    """What is wrong with a document; its message goes on after the file's name."""


def _refusal(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"the baseline {path} {why}; classify-worker evaluate --baseline {path} writes one"
    )


def _baseline(document: Any) -> Baseline:  # noqa: ANN401 - any JSON
    if not isinstance(document, dict):
        raise _NotABaselineError("is no JSON object")
    if document.get("format") != FORMAT:
        raise _NotABaselineError(
            f"has format {document.get('format')!r}, and this version reads format {FORMAT}"
        )
    score_bins, scores = _histogram(document, "score_bins", "scores")
    entropy_bins, entropies = _histogram(document, "entropy_bins", "entropies")
    images = _field(_field(document, "data", dict), "images", int)
    if images < 1:
        raise _NotABaselineError("is of no image: data.images must be 1 or more")
    classes = _field(document, "classes", dict)
    if not classes:
        raise _NotABaselineError("has no classes")
    return Baseline(
        model=_field(_field(document, "model", dict), "name", str),
        digest=_field(_field(document, "model", dict), "digest", str),
        data=_field(_field(document, "data", dict), "digest", str),
        images=images,
        classes=dict(zip(classes, _shares("classes", list(classes.values())), strict=True)),
        score_bins=score_bins,
        scores=scores,
        entropy_bins=entropy_bins,
        entropies=entropies,
    )


def _field(document: dict[str, Any], name: str, kind: type) -> Any:  # noqa: ANN401 - of any kind
    value = document.get(name)
    # A bool is an int to Python, and to nobody else.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _NotABaselineError(f"has no {name}, or not of the right type")
    return value


def _histogram(
    document: dict[str, Any], bins: str, shares: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Edges, and the share between each two of them."""
    edges = _numbers(bins, _field(document, bins, list))
    found = _shares(shares, _field(document, shares, list))
    ascending = all(lower < upper for lower, upper in itertools.pairwise(edges))
    if not (2 <= len(edges) <= MOST_BINS + 1 and edges[0] == 0 and edges[-1] == 1 and ascending):
        raise _NotABaselineError(f"has {bins} that do not ascend from 0 to 1")
    if len(found) != len(edges) - 1:
        raise _NotABaselineError(f"has {len(found)} {shares} for {len(edges) - 1} bins")
    return edges, found


def _shares(name: str, values: Sequence[object]) -> tuple[float, ...]:
    shares = _numbers(name, values)
    total = math.fsum(shares)
    if min(shares, default=0.0) < 0 or (total != 0 and abs(total - 1) > TOLERANCE):
        raise _NotABaselineError(f"has {name} that are no shares of 1")
    return shares


def _numbers(name: str, values: Sequence[object]) -> tuple[float, ...]:
    numbers = []
    for value in values:
        # A bool is an int to Python; orjson reads neither infinity nor what is no number.
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _NotABaselineError(f"has {name} that are not all numbers")
        numbers.append(float(value))
    return tuple(numbers)
