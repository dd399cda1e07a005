"""Single images with what they are labelled and answered with."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import TYPE_CHECKING

from worker.evaluation.page.markup import text

if TYPE_CHECKING:
    from worker.evaluation.report import Report

__all__ = ["NOTHING", "cards", "differing_cards", "mistake_cards", "suspect_cards"]

NOTHING = "(no class)"


def mistake_cards(report: Report, rows: Iterable[int]) -> str:
    """Show images that the model has wrong.

    Args:
        rows: of its answers.

    Returns:
        Markup.
    """
    answers = report.evaluation.answers
    return cards(
        _card(
            report,
            int(answers.item[row]),
            answers.label_name(row),
            _scored("answer", answers.answer_name(row), float(answers.score[row])),
        )
        for row in rows
    )


def suspect_cards(report: Report, most: int) -> str:
    """Show the images that are the most likely mislabelled.

    Returns:
        Markup.
    """
    answers = report.evaluation.answers
    return cards(
        _card(
            report,
            int(answers.item[each.row]),
            f"{answers.label_name(each.row)} ({each.label_score:.3f})",
            _scored("rather", answers.classes.names[each.suggested], each.score),
        )
        for each in report.summary.suspects[:most]
    )


def differing_cards(report: Report, most: int) -> str:
    """Show images that two models answer differently.

    Returns:
        Markup.
    """
    assert report.comparison is not None
    assert report.other is not None
    first, second = report.evaluation.answers, report.other.answers
    return cards(
        _card(
            report,
            int(first.item[ours]),
            first.label_name(ours),
            _scored("first", first.answer_name(ours), float(first.score[ours])),
            _scored("second", second.answer_name(theirs), float(second.score[theirs])),
        )
        for ours, theirs in report.comparison.differing[:most]
    )


def cards(items: Iterable[str]) -> str:
    """Make a list of cards.

    Args:
        items: markup.

    Returns:
        Markup.
    """
    return f'<ul class="cards">{"".join(items)}</ul>'


def _scored(what: str, name: str | None, score: float) -> str:
    return f"{what}: {NOTHING if name is None else f'{name} ({score:.3f})'}"


def _card(report: Report, item: int, label: str, *answers: str) -> str:
    name = report.image(item)
    picture = report.evaluation.pictures.get(item)
    if picture is None and report.other is not None:
        picture = report.other.pictures.get(item)
    shown = ""
    if picture is not None:
        data = b64encode(picture).decode()
        shown = f'<img src="data:image/jpeg;base64,{data}" alt="{text(name)}"/>'
    lines = "".join(f"<span>{text(each)}</span>" for each in answers)
    return (
        f'<li>{shown}<span class="file">{text(name)}</span>'
        f"<span>label: {text(label)}</span>{lines}</li>\n"
    )
