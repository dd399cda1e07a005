"""Classifies images with the model beside this file.

    python classify.py cat.jpg dog.png
    python classify.py --json --top-k 3 cat.jpg
    python classify.py --check

or in a program:

    from classify import Classifier

    classifier = Classifier()
    print(classifier.classify("cat.jpg"))
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from runtime import Network
from transform import read_image, tensor

__all__ = ["Classifier"]

HERE = Path(__file__).resolve().parent

Scores = npt.NDArray[np.float32]

TIE = 1e-3
"""Share of the best score by which another class's may be lower and still be as good."""


class Classifier:
    """A loaded model; for one thread at a time.

    Args:
        directory: where model.json and the network are.
    """

    def __init__(self, directory: Path = HERE) -> None:
        self.model = json.loads((directory / "model.json").read_text("utf-8"))
        self._network = Network(directory)

    def classify(self, path: str | Path, top_k: int | None = None) -> list[dict[str, Any]]:
        """Classify an image file.

        Returns:
            The categories, best first: `{"id": 282, "name": "tiger cat", "score": 0.38878}`.
        """
        return self.categories(self.scores(path), top_k)

    def scores(self, path: str | Path) -> Scores:
        """Compute the score of each class.

        Returns:
            `[C] float32`, 0 to 1.
        """
        answer = self._network.run(tensor(read_image(path), self.model)).astype(np.float32)
        activation = self.model["activation"]
        if activation == "softmax":
            powers = np.exp(answer - answer.max())
            return powers / powers.sum()
        if activation == "sigmoid":
            return np.exp(-np.logaddexp(np.float32(0), -answer))
        return answer.clip(0, 1)

    def categories(self, scores: Scores, top_k: int | None = None) -> list[dict[str, Any]]:
        """Choose the categories by the model's own rule.

        Args:
            top_k: most categories; the model's own number when None.

        Returns:
            The categories, best first; a rule with thresholds may leave none.
        """
        rule = self.model["rule"]
        count = self.model["top_k"] if top_k is None else top_k
        order = np.argsort(-scores, kind="stable")
        if rule["kind"] == "best_above":
            return [self._best_above(scores, int(order[0]), rule)]
        if rule["kind"] == "all_above":
            order = order[scores[order] >= np.array(rule["thresholds"], np.float32)[order]]
        return [self.category(int(one), scores[one]) for one in order[:count]]

    def _best_above(self, scores: Scores, best: int, rule: dict[str, Any]) -> dict[str, Any]:
        threshold = np.float32(rule["threshold"])
        if len(scores) == 2:
            if scores[1] >= threshold:
                return self.category(1, scores[1])
            return self.category(0, 1 - float(scores[1]))
        chosen = best if scores[best] > threshold else rule["otherwise"]
        return self.category(chosen, scores[chosen])

    def category(self, number: int, score: float) -> dict[str, Any]:
        """Name a class."""
        labels = self.model["labels"]
        name = labels[number] if labels else str(number)
        return {"id": number, "name": name, "score": round(float(score), 5)}


def check(classifier: Classifier) -> bool:
    """Classify the images of check.json, and compare the scores.

    Returns:
        Whether no score differs by more than the tolerance, and the best classes are the same.
    """
    known = json.loads((HERE / "check.json").read_text("utf-8"))
    good = True
    for image in known["images"]:
        expected = np.array(image["scores"], np.float32)
        scores = classifier.scores(HERE / image["file"])
        best = int(scores.argmax())
        difference = float(np.abs(scores - expected).max())
        same = bool(expected[best] >= expected.max() * (1 - TIE))
        agrees = same and difference <= known["tolerance"]
        found = classifier.category(best, scores[best])
        print(
            f"{image['file']}: {'agrees' if agrees else 'DISAGREES'}: {found['name']} "
            f"{found['score']:.5f}, expected {image['name']} {image['score']:.5f}; scores differ "
            f"by up to {difference:.2g} ({known['tolerance']:g} is allowed)"
        )
        good = good and agrees
    return good


def main() -> int:
    """Run the command line.

    Returns:
        The exit code: 1 if an image cannot be used, or the check fails.
    """
    parser = argparse.ArgumentParser(description="Classifies images.")
    parser.add_argument("images", nargs="*", metavar="IMAGE")
    parser.add_argument("--top-k", type=int, help="most categories; else the model's own number")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each image")
    parser.add_argument("--check", action="store_true", help="classify check.json's images instead")
    arguments = parser.parse_args()
    if not arguments.images and not arguments.check:
        parser.error("name an image, or say --check")
    classifier = Classifier()
    if arguments.check:
        return 0 if check(classifier) else 1
    failed = False
    for path in arguments.images:
        try:
            categories = classifier.classify(path, arguments.top_k)
        except (OSError, ValueError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            failed = True
            continue
        if arguments.json:
            line = {"input_path": path, "categories": categories}
            print(json.dumps(line, ensure_ascii=False))
        else:
            named = (f"{one['name']} {one['score']:.5f}" for one in categories)
            print(f"{path}: {', '.join(named) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
