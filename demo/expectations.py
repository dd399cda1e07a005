"""The demo's jobs, and what must come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.images import Photograph, photographs
from worker.errors import Reason
from worker.submit import Encoding, Item, ItemResult

__all__ = ["Expectation", "expectations", "problems"]

ENCODINGS = (Encoding.BASE64, Encoding.URL, Encoding.RAW)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One job and its right answer.

    Attributes:
        photograph: what the best category must show; None if the image must be refused.
    """

    item: Item
    photograph: Photograph | None


def expectations(directory: Path) -> tuple[Expectation, ...]:
    """Make the demo's jobs.

    Args:
        directory: where the broken photograph is written.

    Returns:
        Each photograph once for every form in which an image is sent, and one that is cut off.
    """
    found = photographs()
    broken = Item("broken.jpg", _break(found[0], directory / "broken.jpg"), Encoding.RAW)
    whole = [
        Expectation(Item(photograph.name, photograph.path, encoding), photograph)
        for encoding in ENCODINGS
        for photograph in found
    ]
    return (*whole, Expectation(broken, None))


def problems(expected: Sequence[Expectation], answers: Sequence[ItemResult]) -> list[str]:
    """Compare the answers with what was expected.

    Returns:
        What is wrong with the answers, one sentence for each job.
    """
    by_item = {(answer.item.name, answer.item.encoding): answer for answer in answers}
    found: list[str] = []
    for each in expected:
        answer = by_item.get((each.item.name, each.item.encoding))
        wrong = "no answer" if answer is None else _problem(each.photograph, answer)
        if wrong is not None:
            found.append(f"{each.item.name} ({each.item.encoding.value}): {wrong}")
    return found


def _problem(photograph: Photograph | None, answer: ItemResult) -> str | None:
    if photograph is None:
        wanted = Reason.CORRUPT_IMAGE.status
        refused = answer.code == wanted and answer.error
        return None if refused else f"error {wanted} was expected, not {answer.code}"
    if answer.error is not None:
        return answer.error
    if not answer.categories:
        return f"{photograph.label} was expected, not an answer without a category"
    best = answer.categories[0]
    if best.id != photograph.class_id:
        return f"{photograph.label} was expected, not {best.name}"
    return None if answer.picture is not None else "the result has no picture"


def _break(photograph: Photograph, path: Path) -> Path:
    whole = photograph.path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path
