"""What an evaluation found, as plain values: `report.json`."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from worker import __version__
from worker.evaluation.comparison import Comparison, compare
from worker.evaluation.statistics import wilson
from worker.evaluation.summary import Summary, summarize

if TYPE_CHECKING:
    from worker.evaluation.figures import ClassFigures
    from worker.evaluation.run import Evaluation
    from worker.evaluation.selection import Selection
    from worker.evaluation.summary import Share

__all__ = ["Report"]

FORMAT = 1
DIGITS = 6
MOST_PAIRS = 50


@dataclass(frozen=True)
class Report:
    """An evaluation, and what is computed from it when it is first asked for.

    Attributes:
        selection: the images.
        data_digest: of these images and their labels, `sha256:...`.
        evaluation: of the model.
        other: of the model that it is compared with; None without one.
    """

    selection: Selection
    data_digest: str
    evaluation: Evaluation
    other: Evaluation | None = None

    @cached_property
    def summary(self) -> Summary:
        """The figures."""
        return summarize(self.evaluation.answers)

    @cached_property
    def other_summary(self) -> Summary | None:
        """The other model's figures; None without one."""
        return None if self.other is None else summarize(self.other.answers)

    @cached_property
    def comparison(self) -> Comparison | None:
        """How both models differ; None without another one."""
        if self.other is None:
            return None
        return compare(self.evaluation.answers, self.other.answers)

    def image(self, item: int) -> str:
        """Name an image as the user knows it.

        Args:
            item: its place among those that were chosen.

        Returns:
            The name.
        """
        return self.selection.dataset.items[item].name

    def document(self) -> dict[str, Any]:
        """Write everything as plain values that JSON has.

        Returns:
            The content of `report.json`; docs/evaluate.md describes it.
        """
        dataset = self.selection.dataset
        found = {
            "format": FORMAT,
            "version": __version__,
            "model": self._model(self.evaluation),
            "data": {
                "source": dataset.source,
                "layout": dataset.layout,
                "split": self.selection.part,
                "images": len(dataset.items),
                "digest": self.data_digest,
                "leaked": list(self.selection.leaked),
            },
            **self._figures(self.evaluation, self.summary),
            "classes": self._classes(),
            "per_class": [_class(each) for each in self.summary.figures],
            "most_confused": self._pairs(),
            "unusable": self._unusable(),
            "mistakes": self._mistakes(),
            "likely_mislabelled": self._suspects(),
        }
        if self.other is not None:
            found["against"] = self._against(self.other)
        return found

    def as_json(self) -> bytes:
        """Write `report.json`.

        Returns:
            Its bytes.
        """
        text = json.dumps(self.document(), ensure_ascii=False, indent=2)
        # A file's name need not be UTF-8; what is not becomes JSON's own escape.
        return f"{text}\n".encode(errors="backslashreplace")

    @staticmethod
    def _model(evaluation: Evaluation) -> dict[str, Any]:
        model = evaluation.model
        return {"name": model.name, "digest": model.digest, "backend": model.backend}

    @staticmethod
    def _figures(evaluation: Evaluation, summary: Summary) -> dict[str, Any]:
        top5: dict[str, Any] = {"top5": None, "top5_interval": None, "top5_right": None}
        seconds = evaluation.seconds
        return {
            "images": summary.top1.images,
            **_share("top1", summary.top1),
            **(top5 if summary.top5 is None else _share("top5", summary.top5)),
            "macro_f1": _rounded(summary.macro_f1),
            "expected_calibration_error": _rounded(summary.calibration_error),
            "reliability": [
                {key: _rounded(value) for key, value in asdict(each).items()}
                for each in summary.bins
            ],
            "seconds": round(seconds, 3),
            "images_per_second": round(summary.top1.images / max(seconds, 1e-9), 2),
        }

    def _classes(self) -> dict[str, Any]:
        classes = self.evaluation.answers.classes
        return {
            "in_both": classes.of_model - len(classes.only_model),
            "by_one_of_several_names": dict(classes.taken),
            "only_in_data": list(classes.only_data),
            "only_in_model": list(classes.only_model),
        }

    def _pairs(self) -> list[dict[str, Any]]:
        answers = self.evaluation.answers
        return [
            {
                "label": answers.classes.names[each.label],
                "answer": answers.answer_name(each.rows[0]),
                "images": len(each.rows),
            }
            for each in self.summary.confusions[:MOST_PAIRS]
        ]

    def _unusable(self) -> dict[str, Any]:
        by_reason: dict[str, list[dict[str, str]]] = defaultdict(list)
        for each in self.evaluation.unusable:
            by_reason[each.reason].append({"image": self.image(each.item), "error": each.message})
        return {"images": len(self.evaluation.unusable), "by_reason": dict(by_reason)}

    def _mistakes(self) -> list[dict[str, Any]]:
        answers = self.evaluation.answers
        return [
            {
                "image": self.image(int(answers.item[row])),
                "label": answers.label_name(row),
                "answer": answers.answer_name(row),
                "score": _rounded(float(answers.score[row])),
                "label_score": _rounded(float(answers.label_score[row])),
            }
            for row in answers.worst().tolist()
        ]

    def _suspects(self) -> list[dict[str, Any]]:
        answers = self.evaluation.answers
        return [
            {
                "image": self.image(int(answers.item[each.row])),
                "label": answers.label_name(each.row),
                "suggested": answers.classes.names[each.suggested],
                "score": _rounded(each.score),
                "label_score": _rounded(each.label_score),
            }
            for each in self.summary.suspects
        ]

    def _against(self, other: Evaluation) -> dict[str, Any]:
        comparison, summary = self.comparison, self.other_summary
        assert comparison is not None
        assert summary is not None
        first, second, test = self.evaluation.answers, other.answers, comparison.test
        return {
            "model": self._model(other),
            **self._figures(other, summary),
            "compared_images": comparison.images,
            "agreement": _rounded(comparison.agreeing / max(comparison.images, 1)),
            "agreement_interval": [
                _rounded(end) for end in wilson(comparison.agreeing, comparison.images)
            ],
            "score_difference_where_agreeing": {
                "mean": _rounded(comparison.score_mean),
                "most": _rounded(comparison.score_most),
            },
            "mcnemar": {
                "only_first_right": test.first,
                "only_second_right": test.second,
                "p_exact": test.p_exact,
                "chi_squared_with_continuity_correction": _rounded(test.statistic),
                "p_with_continuity_correction": test.p_corrected,
            },
            "differing": [
                {
                    "image": self.image(int(first.item[ours])),
                    "label": first.label_name(ours),
                    "first": first.answer_name(ours),
                    "first_score": _rounded(float(first.score[ours])),
                    "second": second.answer_name(theirs),
                    "second_score": _rounded(float(second.score[theirs])),
                }
                for ours, theirs in comparison.differing
            ],
        }


def _share(name: str, share: Share) -> dict[str, Any]:
    return {
        name: _rounded(share.value),
        f"{name}_interval": [_rounded(end) for end in share.interval],
        f"{name}_right": share.right,
    }


def _class(each: ClassFigures) -> dict[str, Any]:
    ends = wilson(each.right, each.support)
    return {
        "name": each.name,
        "support": each.support,
        "answered": each.answered,
        "right": each.right,
        "precision": None if each.precision is None else _rounded(each.precision),
        "recall": None if each.recall is None else _rounded(each.recall),
        "recall_interval": [_rounded(end) for end in ends] if each.support else None,
        "f1": _rounded(each.f1),
    }


def _rounded(value: float) -> float:
    return round(value, DIGITS)
