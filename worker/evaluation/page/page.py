"""The whole of `report.html`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from worker.evaluation.page.against import against_markup
from worker.evaluation.page.cards import NOTHING, mistake_cards, suspect_cards
from worker.evaluation.page.curve import curve_markup
from worker.evaluation.page.markup import (
    percent,
    section,
    share_markup,
    some_of,
    table,
    text,
)
from worker.evaluation.page.matrix import Matrix, choose_matrix, matrix_markup, target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.evaluation.figures import Confusion
    from worker.evaluation.report import Report

__all__ = ["page"]

MOST_WORST, MOST_SUSPECTS, MOST_IN_CELL = 24, 24, 8
"""Images of a list; report.json has all."""

MOST_ROWS = 100
MOST_PAIRS = 20
MOST_NAMES = 50

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Whatever a name might smuggle in: nothing runs, and nothing is loaded."""


def page(report: Report) -> bytes:
    """Write the page.

    Returns:
        The file's bytes.
    """
    model, dataset = report.evaluation.model, report.selection.dataset
    title = f"Evaluation of {model.name}"
    matrix = choose_matrix(report.summary)
    sections = _sections(report, matrix)
    contents = "".join(
        f'<li><a href="#{text(name)}">{text(heading)}</a></li>' for name, heading, _ in sections
    )
    body = "".join(section(*each) for each in sections)
    style = (Path(__file__).with_name("page.css")).read_text("utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{text(title)}</title><style>\n{style}</style></head>\n"
        f"<body><main><h1>{text(title)}</h1>"
        f"<p>On {text(dataset.source)}: {text(report.selection.why)}.</p>"
        f"{_notes(report)}{_headline(report)}"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n{body}</main></body></html>\n'
    ).encode()


def _sections(report: Report, matrix: Matrix) -> list[tuple[str, str, str]]:
    """Name, title and markup of each section."""
    sections = []
    if report.other is not None:
        sections.append(("against", "Against the other model", against_markup(report)))
    sections += [
        ("confusion", "Confusion matrix", _confusion(report, matrix)),
        ("worst", "Worst mistakes", _worst(report)),
        ("mislabelled", "Likely mislabelled", _mislabelled(report)),
        ("classes", "Classes", _classes(report)),
        ("reliability", "Reliability", curve_markup(report.summary.bins)),
        ("cells", "Mistakes by cell of the matrix", _cells(report, matrix)),
    ]
    if report.evaluation.unusable:
        sections.append(("unusable", "Images that cannot be used", _unusable(report)))
    sections.append(("about", "What was evaluated", _about(report)))
    return sections


def _notes(report: Report) -> str:
    """What a reader must know before the figures."""
    classes = report.evaluation.answers.classes
    notes = []
    if leaked := report.selection.leaked:
        notes.append(
            f"Images that are, byte by byte, to train with or to choose by as well, {len(leaked)}; "
            f"they count, and a model may know them by heart: {_names(leaked)}"
        )
    if classes.only_data:
        notes.append(
            f"Classes of the data that the model does not know, {len(classes.only_data)}, whose "
            f"images are all wrong: {_names(classes.only_data)}"
        )
    if report.evaluation.unusable:
        count = len(report.evaluation.unusable)
        notes.append(
            f"Images that cannot be used, {count}, which count nowhere: "
            '<a href="#unusable">which</a>'
        )
    return "".join(f'<p class="note">{note}</p>' for note in notes)


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    # Names may have commas in them.
    return "; ".join(map(text, names[:MOST_NAMES])) + more


def _headline(report: Report) -> str:
    summary = report.summary
    figures = [("top-1", share_markup(summary.top1))]
    if summary.top5 is not None:
        figures.append(("top-5", share_markup(summary.top5)))
    figures += [
        ("macro F1", f"{summary.macro_f1:.3f}"),
        ("calibration error", f"{summary.calibration_error:.3f}"),
        ("images", str(summary.top1.images)),
    ]
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures)
    return f'<dl class="figures">{rows}</dl>\n'


def _confusion(report: Report, matrix: Matrix) -> str:
    answers = report.evaluation.answers
    pairs = report.summary.confusions[:MOST_PAIRS]
    shown = {target(each) for each in matrix.groups}
    rows = [
        (
            text(answers.classes.names[each.label]),
            text(answers.answer_name(each.rows[0]) or NOTHING),
            _count(each, shown),
        )
        for each in pairs
    ]
    most = table("Most confused", ("label", "answer", "images"), rows) if rows else ""
    return f"{matrix_markup(matrix, answers)}{most}"


def _count(group: Confusion, shown: set[str]) -> str:
    name, count = target(group), len(group.rows)
    return f'<a href="#{name}">{count}</a>' if name in shown else str(count)


def _worst(report: Report) -> str:
    worst = report.evaluation.answers.worst().tolist()
    if not worst:
        return "<p>There are no mistakes.</p>"
    return (
        f"<p>{some_of(len(worst), MOST_WORST, 'mistakes')}, the most confident first.</p>"
        f"{mistake_cards(report, worst[:MOST_WORST])}"
    )


def _mislabelled(report: Report) -> str:
    if not report.summary.suspects:
        return "<p>No label looks wrong.</p>"
    count = some_of(len(report.summary.suspects), MOST_SUSPECTS, "images")
    return (
        f"<p>{count} that score as high for another class as its own images do on average, or 0.9, "
        "and higher than for their label. If the model was trained on other images, look at these "
        f"labels first.</p>{suspect_cards(report, MOST_SUSPECTS)}"
    )


def _classes(report: Report) -> str:
    figures = sorted(report.summary.figures, key=lambda each: (each.f1, each.number))
    rows = [
        (
            text(each.name),
            str(each.support),
            "" if each.precision is None else percent(each.precision),
            "" if each.recall is None else percent(each.recall),
            f"{each.f1:.3f}",
        )
        for each in figures[:MOST_ROWS]
    ]
    only_model = report.evaluation.answers.classes.only_model
    absent = f"<p>Classes of the model alone: {_names(only_model)}.</p>" if only_model else ""
    heads = ("class", "images", "precision", "recall", "F1")
    count = some_of(len(figures), MOST_ROWS, "classes that occur")
    return f"<p>{count}, the worst first.</p>{table('Figures of each class', heads, rows)}{absent}"


def _cells(report: Report, matrix: Matrix) -> str:
    answers = report.evaluation.answers
    if not matrix.groups:
        return "<p>There are no mistakes.</p>"
    parts = []
    for group in matrix.groups:
        label = text(answers.classes.names[group.label])
        answer = text(answers.answer_name(group.rows[0]) or NOTHING)
        count = some_of(len(group.rows), MOST_IN_CELL, "images")
        parts.append(
            f'<h3 id="{target(group)}">{label} answered with {answer}</h3><p>{count}</p>'
            f"{mistake_cards(report, group.rows[:MOST_IN_CELL])}"
        )
    return "".join(parts)


def _unusable(report: Report) -> str:
    unusable = report.evaluation.unusable
    rows = [
        (text(report.image(each.item)), text(each.reason), text(each.message))
        for each in unusable[:MOST_ROWS]
    ]
    count = some_of(len(unusable), MOST_ROWS, "images")
    heads = ("image", "reason", "what is wrong")
    return f"<p>{count}</p>{table('What is wrong with them', heads, rows)}"


def _about(report: Report) -> str:
    evaluation, dataset = report.evaluation, report.selection.dataset
    rows = [
        ("model", text(evaluation.model.name)),
        ("model's digest", text(evaluation.model.digest)),
        ("backend", text(evaluation.model.backend)),
        ("data", text(dataset.source)),
        ("layout", text(dataset.layout)),
        ("data's digest", text(report.data_digest)),
        ("seconds", f"{evaluation.seconds:.1f}"),
    ]
    if report.other is not None:
        rows.append(("other model's digest", text(report.other.model.digest)))
    return table("The model and the data", ("fact", "value"), rows)
