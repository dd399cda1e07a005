"""Two models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.evaluation.page.cards import differing_cards
from worker.evaluation.page.markup import percent, share_markup, some_of, table, text

if TYPE_CHECKING:
    from worker.evaluation.report import Report

__all__ = ["against_markup"]

MOST_DIFFERING = 24
"""Images that are shown; report.json has all."""


def against_markup(report: Report) -> str:
    """Show both models' figures, how they differ, and on which images.

    Returns:
        Markup.
    """
    comparison, summary, other = report.comparison, report.other_summary, report.other
    assert comparison is not None
    assert summary is not None
    assert other is not None
    test, images = comparison.test, max(comparison.images, 1)
    top5 = (
        []
        if summary.top5 is None or report.summary.top5 is None
        else [("top-5", share_markup(report.summary.top5), share_markup(summary.top5))]
    )
    rows = [
        ("model", text(report.evaluation.model.name), text(other.model.name)),
        ("backend", text(report.evaluation.model.backend), text(other.model.backend)),
        ("top-1", share_markup(report.summary.top1), share_markup(summary.top1)),
        *top5,
        ("macro F1", f"{report.summary.macro_f1:.3f}", f"{summary.macro_f1:.3f}"),
        (
            "calibration error",
            f"{report.summary.calibration_error:.3f}",
            f"{summary.calibration_error:.3f}",
        ),
        ("right alone", str(test.first), str(test.second)),
    ]
    differing = len(comparison.differing)
    shown = (
        ""
        if not differing
        else (
            f"<p>{some_of(differing, MOST_DIFFERING, 'images')} get different answers.</p>"
            f"{differing_cards(report, MOST_DIFFERING)}"
        )
    )
    return (
        f"{table('Both models', ('figure', 'first', 'second'), rows)}"
        f"<p>Both answer {comparison.agreeing} of {comparison.images} images alike "
        f"({percent(comparison.agreeing / images)}); on these, scores differ by "
        f"{comparison.score_mean:.4f} on average and {comparison.score_most:.4f} at most. "
        f"McNemar's test: p = {test.p_exact:.3g} (exact), {test.p_corrected:.3g} (chi-squared "
        f"{test.statistic:.2f}, with continuity correction).</p>{shown}"
    )
