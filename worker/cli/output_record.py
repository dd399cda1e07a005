"""The one shape in which `predict` and `submit` write the outcome of an image: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker.contract.jobs import Category, ModelIdentity

__all__ = ["CSV_HEADER", "OutputRecord"]

CSV_HEADER = "input,page,rank,id,name,score,errorCode,error,picture,model,modelDigest\n"
"""A row is one category, best first (`rank` from 1), or an image without any."""


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """The outcome of one image.

    Attributes:
        input: the path or URL as it was given, or the id of a job that the user wrote.
        page: number of the page in a TIFF or PDF file, from 0; None of any other image.
        id: `topic-partition-offset` of the job; None without Kafka, or if it was not sent.
        code: 0 for a success, else the HTTP status of the failure; None when there is no result.
        error: what went wrong, or None.
        reason: the failure's label, such as `not_an_image`; None when it is not known.
        categories: best first.
        latency: seconds from sending the job to its result; None without one.
        picture: the file in which the picture was saved, or None.
        model: what computed the categories; None on failure, or if the result does not say.
        extra: fields of one command alone, by their names in JSON.
    """

    input: str | None
    code: int | None = 0
    error: str | None = None
    reason: str | None = None
    page: int | None = None
    id: str | None = None
    categories: Sequence[Category] = ()
    latency: float | None = None
    picture: Path | None = None
    model: ModelIdentity | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """Write the record as a line of JSON.

        Returns:
            The line, without its line break.
        """
        content = {
            "input": self.input,
            "page": self.page,
            "id": self.id,
            "errorCode": self.code,
            "errorMsg": self.error or "Success",
            "reason": self.reason,
            "categories": [
                {"id": category.id, "name": category.name, "score": category.score}
                for category in self.categories
            ],
            "latencySeconds": None if self.latency is None else round(self.latency, 4),
            "picture": None if self.picture is None else str(self.picture),
            "model": None if self.model is None else asdict(self.model),
            **self.extra,
        }
        return _encodable(json.dumps(content, ensure_ascii=False))

    def as_csv(self) -> str:
        """Write the record as rows of a CSV file.

        Returns:
            Lines below `CSV_HEADER`, each with its line break.
        """
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self._rows())
        return _encodable(text.getvalue())

    def _rows(self) -> Iterator[tuple[object, ...]]:
        named = (None, None) if self.model is None else (self.model.name, self.model.digest)
        last = (self.code, self.error, self.picture, *named)
        if not self.categories:
            yield (self.input, self.page, None, None, None, None, *last)
        for rank, category in enumerate(self.categories, 1):
            row = (self.input, self.page, rank, category.id, category.name, category.score)
            yield (*row, *last)


def _encodable(text: str) -> str:
    """A file's name need not be UTF-8; what is not becomes an escape, as JSON has it."""
    return text.encode(errors="backslashreplace").decode()
