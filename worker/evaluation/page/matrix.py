"""The confusion matrix, with a link from each cell to the mistakes in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.evaluation.answers import NO_CLASS
from worker.evaluation.page.markup import text, wide

if TYPE_CHECKING:
    from worker.evaluation.answers import Answers
    from worker.evaluation.figures import ClassFigures, Confusion
    from worker.evaluation.summary import Summary

__all__ = ["MOST", "Matrix", "choose_matrix", "matrix_markup", "target"]

MOST = 30
"""Classes that are shown: a larger table cannot be read."""

SHADES = 5


@dataclass(frozen=True, slots=True)
class Matrix:
    """What is shown of a confusion matrix.

    Attributes:
        classes: in their order, both rows and columns; those of `no_class` aside.
        no_class: whether there is a column for answers without a category.
        groups: the mistakes in its cells, the largest group first.
        left_out: classes that are not shown.
        mistakes_left_out: those in cells that are not shown.
    """

    classes: tuple[ClassFigures, ...]
    no_class: bool
    groups: tuple[Confusion, ...]
    left_out: int
    mistakes_left_out: int


def choose_matrix(summary: Summary, most: int = MOST) -> Matrix:
    """Choose what is shown: all classes that occur, or those with the most mistakes.

    Returns:
        The choice.
    """
    figures = summary.figures
    # Of those without mistakes the ones with the most images.
    worst = sorted(figures, key=lambda each: (-each.mistakes, -each.support, each.number))
    chosen = {each.number for each in worst[:most]}
    shown = tuple(each for each in figures if each.number in chosen)
    columns = chosen | {NO_CLASS}
    groups = [
        each for each in summary.confusions if each.label in chosen and each.answer in columns
    ]
    mistakes = sum(len(each.rows) for each in summary.confusions)
    return Matrix(
        classes=shown,
        no_class=any(each.answer == NO_CLASS for each in groups),
        groups=tuple(groups),
        left_out=len(figures) - len(shown),
        mistakes_left_out=mistakes - sum(len(each.rows) for each in groups),
    )


def target(group: Confusion) -> str:
    """Name the place of a cell's mistakes, which the cell links to.

    Returns:
        The name, without `#`.
    """
    answer = "none" if group.answer == NO_CLASS else str(group.answer)
    return f"cell-{group.label}-{answer}"


def matrix_markup(matrix: Matrix, answers: Answers) -> str:
    """Show the matrix: a row for each label, a column for each answer.

    Returns:
        Markup.
    """
    names = [each.name for each in matrix.classes]
    columns = [each.number for each in matrix.classes]
    if matrix.no_class:
        names.append("(no class)")
        columns.append(NO_CLASS)
    heads = "".join(f'<th scope="col"><span>{text(name)}</span></th>' for name in names)
    groups = {(each.label, each.answer): each for each in matrix.groups}
    rows = []
    for figures in matrix.classes:
        cells = [
            _right(figures)
            if column == figures.number
            else _wrong(groups.get((figures.number, column)), figures, name)
            for column, name in zip(columns, names, strict=True)
        ]
        rows.append(f'<tr><th scope="row">{text(figures.name)}</th>{"".join(cells)}</tr>\n')
    caption = "Rows are labels, columns are answers"
    grid = (
        f'<table class="matrix"><caption>{caption}</caption>'
        f'<thead><tr><th scope="col">label</th>{heads}</tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    return f"{_left_out(matrix, len(answers.classes.names))}{wide(caption, grid)}"


def _left_out(matrix: Matrix, classes: int) -> str:
    told = []
    if matrix.left_out:
        told.append(
            f"These are the {len(matrix.classes)} classes with the most mistakes; "
            f"{matrix.left_out} more classes that occur, and {matrix.mistakes_left_out} mistakes "
            "with them, are left out here. report.json has all."
        )
    absent = classes - len(matrix.classes) - matrix.left_out
    if absent:
        told.append(f"{absent} classes are left out that no image is labelled or answered with.")
    return f"<p>{' '.join(told)}</p>" if told else ""


def _right(figures: ClassFigures) -> str:
    shade = _shade(figures.right, figures.support)
    return f'<td class="right{shade}">{figures.right or ""}</td>'


def _wrong(group: Confusion | None, figures: ClassFigures, answer: str) -> str:
    if group is None:
        return "<td></td>"
    count = len(group.rows)
    label = f"{count} of {figures.name} answered with {answer}"
    return (
        f'<td class="wrong{_shade(count, figures.support)}">'
        f'<a href="#{target(group)}" aria-label="{text(label)}">{count}</a></td>'
    )


def _shade(count: int, total: int) -> str:
    """A class of cells: the larger its share of the row, the higher its number."""
    return f" shade{-(-SHADES * count // total)}" if count else ""
