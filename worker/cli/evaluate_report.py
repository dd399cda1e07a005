"""What `evaluate` prints: figures on standard output, what to know of them on standard error."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console

from worker.cli.rows import printable, wrap
from worker.drift.watch import LARGE_CHANCE
from worker.drift.window import DriftWindow
from worker.evaluation.classes import almost_equal
from worker.settings import DriftSettings
from worker.wording import first_few

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from worker.evaluation.report import Report
    from worker.evaluation.summary import Share

__all__ = ["figures_lines", "notes", "print_report"]

MOST_NAMES, MOST_IMAGES, MOST_PAIRS, MOST_CLASSES = 5, 5, 5, 5
NAME = 20
"""Columns for the names of figures."""


def print_report(
    found: Report, *, figures: bool, report: Path | None, baseline: Path | None
) -> None:
    """Print an evaluation.

    Args:
        figures: whether standard output gets them.
        report: the directory that it was written to.
        baseline: the file of the baseline.
    """
    if figures:
        console = Console()
        for line in figures_lines(found):
            # Not `print`, which wraps lines and takes brackets for styles.
            console.out(printable(line), highlight=False)
    err = Console(stderr=True)
    written = []
    if report is not None:
        written.append(f"the report is {report / 'report.html'}, and report.json beside it")
    if baseline is not None:
        written.append(f"the baseline is {baseline}: set drift.baseline of the worker to it")
        written += _small_baseline(found)
    for note in (*notes(found), *written):
        text = f"classify-worker: {printable(note)}"
        for line in wrap(text, err.width) if err.is_terminal else [text]:
            err.out(line, highlight=False)


def _small_baseline(found: Report) -> Iterator[str]:
    """Say that a baseline is too small to tell a change, as the worker does that reads it."""
    model = found.evaluation.model
    counted = found.evaluation.baseline.baseline(model.name, model.digest, found.data_digest)
    size = DriftSettings().window
    window = DriftWindow(counted, size)
    large = [kind for kind, index in window.chances().items() if index > LARGE_CHANCE]
    if large:
        yield (
            f"{counted.images} images are few for a baseline: with a drift.window of {size}, "
            f"chance alone moves {' and '.join(large)} by more than {LARGE_CHANCE}; "
            f"{max((window.remedy(kind, LARGE_CHANCE) for kind in large), key=_number_in)}"
        )


def _number_in(remedy: str) -> int:
    return int(next(word for word in remedy.split() if word.isdigit()))


def figures_lines(found: Report) -> Iterator[str]:
    """Write the figures for people.

    Yields:
        Lines.
    """
    summary, model = found.summary, found.evaluation.model
    yield f"{model.name} ({model.backend}) on {found.selection.dataset.source}"
    yield _figure("images", str(summary.top1.images))
    yield _figure("top-1", _share(summary.top1))
    if summary.top5 is not None:
        yield _figure("top-5", _share(summary.top5))
    yield _figure("macro F1", f"{summary.macro_f1:.4f}")
    yield _figure("calibration error", f"{summary.calibration_error:.4f}")
    seconds = found.evaluation.seconds
    speed = summary.top1.images / max(seconds, 1e-9)
    yield _figure("seconds", f"{seconds:.1f}  ({speed:.1f} images/s)")
    answers = found.evaluation.answers
    if summary.confusions:
        yield ""
        yield "Most confused:"
    for group in summary.confusions[:MOST_PAIRS]:
        label, answer = answers.classes.names[group.label], answers.answer_name(group.rows[0])
        yield f"  {len(group.rows):>5}  {label} answered with {answer or '(no class)'}"
    weak = [each for each in summary.figures if each.f1 < 1]
    if weak:
        yield ""
        yield "Worst classes, by F1:"
    for each in sorted(weak, key=lambda each: each.f1)[:MOST_CLASSES]:
        yield f"  {each.f1:.3f}  {each.name} ({each.right} of {each.support} right)"
    yield from _comparison_lines(found)


def _comparison_lines(found: Report) -> Iterator[str]:
    comparison, summary, other = found.comparison, found.other_summary, found.other
    if comparison is None or summary is None or other is None:
        return
    test, images = comparison.test, max(comparison.images, 1)
    yield ""
    yield f"Against {other.model.name} ({other.model.backend}):"
    yield _figure("top-1", _share(summary.top1))
    agreement = comparison.agreeing / images
    yield _figure("agreement", f"{agreement:.4f}  ({comparison.agreeing} of {comparison.images})")
    yield _figure(
        "score difference",
        f"{comparison.score_mean:.4f} on average, {comparison.score_most:.4f} at most, where both "
        "agree",
    )
    yield _figure("right alone", f"{test.first} the first, {test.second} the second")
    yield _figure(
        "McNemar",
        f"p = {test.p_exact:.3g} (exact), {test.p_corrected:.3g} (with continuity correction)",
    )


def notes(found: Report) -> Iterator[str]:
    """Say what has to be known of the figures.

    Yields:
        Sentences.
    """
    yield found.selection.why
    if leaked := found.selection.leaked:
        yield (
            f"images that are, byte by byte, to train with or to choose by as well, {len(leaked)}: "
            f"{first_few(leaked, MOST_NAMES)}; they count, and a model may know them by heart"
        )
    classes = found.evaluation.answers.classes
    if classes.taken:
        taken = [f"{data!r} for {model!r}" for data, model in classes.taken.items()]
        yield (
            f"classes of the data that have one of several names of the model, {len(taken)}: "
            f"{first_few(taken, MOST_NAMES)}"
        )
    if classes.only_data:
        yield (
            f"classes of the data that the model does not know, {len(classes.only_data)}, whose "
            f"images are all wrong: {first_few(list(map(repr, classes.only_data)), MOST_NAMES)}"
        )
    for data, model in almost_equal(classes):
        yield f"{data!r} of the data and {model!r} of the model differ only in how they are written"
    if classes.only_model:
        yield (
            f"classes of the model that the data lack, {len(classes.only_model)}: "
            f"{first_few(list(map(repr, classes.only_model)), MOST_NAMES)}"
        )
    unusable = found.evaluation.unusable
    if unusable:
        reasons = Counter(each.reason for each in unusable)
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        total = len(found.selection.dataset.items)
        yield f"{len(unusable)} of {total} images cannot be used, and count nowhere: {counts}"
        for each in unusable[:MOST_IMAGES]:
            yield f"{found.image(each.item)}: {each.message}"
        if len(unusable) > MOST_IMAGES:
            yield f"and {len(unusable) - MOST_IMAGES} more; --report names them all"
    suspects = found.summary.suspects
    if suspects:
        answers = found.evaluation.answers
        images = [found.image(int(answers.item[each.row])) for each in suspects]
        yield f"likely mislabelled, {len(suspects)}: {first_few(images, MOST_IMAGES)}"


def _figure(name: str, value: str) -> str:
    return f"{name:<{NAME}}{value}"


def _share(share: Share) -> str:
    low, high = share.interval
    return f"{share.value:.4f}  ({share.right} of {share.images}; 95 %: {low:.4f} to {high:.4f})"
