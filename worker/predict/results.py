"""Results as PaddleX has them: dicts that print and save themselves, and show in notebooks."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from worker.contract.jobs import Category
from worker.errors import JobError
from worker.image_formats import WRITABLE_SUFFIXES
from worker.predict.inputs import Page
from worker.predict.naming import output_name
from worker.predict.notebook import as_html, failure_as_html
from worker.settings import PictureSettings

if TYPE_CHECKING:
    from worker.images.encode import PillowImage

__all__ = ["ClassificationResult", "FailedInput"]


class ClassificationResult(dict[str, Any]):
    """One image's categories, best first; none if no class reaches the model's threshold.

    Keys:
        input_path: the path or URL as it was given; None for arrays and bytes.
        page_index: number of the page in a TIFF or PDF file, from 0 up; None for all others.
        input_img: the image, `[H, W, 3] uint8` RGB; neither printed nor saved as JSON.
        class_ids: `[K] int32`.
        scores: `[K] float32`, 0 to 1, rounded to five digits.
        label_names: K strings.

    Attributes:
        top1: the best category; None if there is none.
        output_name: how its files are called; made once, so that an array's get the same name.
    """

    def __init__(
        self,
        input_path: str | None,
        bgr: npt.NDArray[np.uint8],
        categories: Sequence[Category],
        page: Page | None = None,
    ) -> None:
        super().__init__(
            input_path=input_path,
            page_index=None if page is None else page.index,
            input_img=bgr[..., ::-1],
            class_ids=np.array([category.id for category in categories], np.int32),
            scores=np.array([category.score for category in categories], np.float32),
            label_names=[category.name for category in categories],
        )
        self.output_name = output_name(input_path, page)

    @property
    def top1(self) -> Category | None:
        """The best category; None if no class reaches the model's threshold."""
        return next(self._categories(), None)

    def to_dict(self) -> dict[str, Any]:
        """Convert all but the image to plain types that JSON has: what `save_to_json` writes.

        Returns:
            `input_path`, `page_index`, and the lists `class_ids`, `scores` and `label_names`.
        """
        return self._without_image() | {
            "class_ids": self["class_ids"].tolist(),
            # Five digits again: float32 has more, and they mean nothing.
            "scores": [round(score, 5) for score in self["scores"].tolist()],
            "label_names": list(self["label_names"]),
        }

    @property
    def json(self) -> dict[str, dict[str, Any]]:
        """`{"res": ...}` with what `to_dict` returns."""
        return {"res": self.to_dict()}

    @property
    def img(self) -> dict[str, PillowImage]:
        """The picture with the best category's label and score, as a Pillow image (RGB)."""
        from worker.images.encode import as_pillow  # noqa: PLC0415 - codecs, which few callers need

        return {"res": as_pillow(self._picture())}

    def print(
        self,
        json_format: bool = False,
        indent: int = 4,
        ensure_ascii: bool = False,
        *,
        format_json: bool | None = None,
    ) -> None:
        """Write the result to standard output, as a Python dict or as JSON.

        Args:
            json_format: whether it is JSON.
            indent: spaces, of JSON.
            ensure_ascii: whether JSON is ASCII, with escapes.
            format_json: `json_format` as PaddleX's documentation calls it; wins over it.
        """
        shown = (
            json.dumps(self.json, indent=indent, ensure_ascii=ensure_ascii)
            if (json_format if format_json is None else format_json)
            else str(self)
        )
        sys.stdout.write(f"{shown}\n")

    def __str__(self) -> str:
        """The dict without its image, as PaddleX prints it."""
        return str({"res": self._without_image()})

    def __repr__(self) -> str:
        """One line with the best category: a list of results stays readable."""
        best = "no category" if (top1 := self.top1) is None else f"{top1.name!r} {top1.score:.5f}"
        page = "" if self["page_index"] is None else f" page {self['page_index']}"
        return f"<{type(self).__name__} {self['input_path'] or 'image'!r}{page}: {best}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: a small picture, and the categories as a table."""
        return as_html(self["input_path"], self["input_img"][..., ::-1], list(self._categories()))

    def save_to_json(
        self, save_path: str | Path, indent: int = 4, ensure_ascii: bool = False
    ) -> Path:
        """Write the result as JSON.

        Args:
            save_path: a file ending in `.json`, or the directory for `STEM_res.json`, where STEM is
                the input's name without its suffix. Missing directories are made. A directory that
                exists, or is written with a slash at its end, may have any name.

        Returns:
            The file written.
        """
        target = Path(save_path)
        if not _is_file(save_path, {".json"}):
            target /= f"{self.output_name.stem}_res.json"
        text = json.dumps(self.json["res"], indent=indent, ensure_ascii=ensure_ascii)
        # A file's name need not be UTF-8; what is not becomes JSON's own escape.
        return _write(target, text.encode(errors="backslashreplace"))

    def save_to_img(self, save_path: str | Path) -> Path:
        """Write the picture with the best category's label and score, in the image's own size.

        An image too small for a legible line of text is written as it is.

        Args:
            save_path: a file with the suffix of a format that is written, or the directory for
                `STEM_res.EXT`, where EXT is the input's own if that format is written, else png.
                Directories are as in `save_to_json`.

        Returns:
            The file written.

        Raises:
            ValueError: the format of the file named cannot hold an image of this size.
        """
        from worker.images.encode import encode  # noqa: PLC0415 - codecs, which few callers need

        target, quality = Path(save_path), PictureSettings().quality
        picture = self._picture()
        if _is_file(save_path, WRITABLE_SUFFIXES):
            return _write(target, encode(picture, target.suffix.lower(), quality))
        stem, suffix = self.output_name.stem, self.output_name.suffix
        try:
            data = encode(picture, suffix.lower(), quality)
        except ValueError:
            # A URL may call a huge JPEG .webp, which is limited in size; PNG is not.
            suffix = ".png"
            data = encode(picture, suffix, quality)
        return _write(target / f"{stem}_res{suffix}", data)

    def save_all(self, save_path: str | Path) -> None:
        """Write the JSON and the picture into a directory."""
        self.save_to_json(save_path)
        self.save_to_img(save_path)

    def _without_image(self) -> dict[str, Any]:
        return {key: value for key, value in self.items() if key != "input_img"}

    def _categories(self) -> Iterator[Category]:
        plain = self.to_dict()
        rows = zip(plain["class_ids"], plain["label_names"], plain["scores"], strict=True)
        return starmap(Category, rows)

    def _picture(self) -> npt.NDArray[np.uint8]:
        from worker.images.draw import annotate  # noqa: PLC0415 - codecs, which few callers need

        bgr, best = self["input_img"][..., ::-1], self.top1
        if best is None:
            return annotate(bgr, None, 0.0)
        return annotate(bgr, best.name, best.score, keep_size=True)


@dataclass(frozen=True, slots=True)
class FailedInput:
    """An input without a result, from `predict(..., on_error="yield")`.

    Attributes:
        input_path: the path or URL as it was given; None for arrays and bytes.
        error: what is wrong; its text says what to change.
    """

    input_path: str | None
    error: JobError

    def to_dict(self) -> dict[str, Any]:
        """Convert the failure to plain types that JSON has.

        Returns:
            `input_path`, and `error` with `reason` and `message`.
        """
        return {
            "input_path": self.input_path,
            "error": {"reason": self.error.reason.label, "message": self.error.message},
        }

    @property
    def json(self) -> dict[str, dict[str, Any]]:
        """`{"res": ...}` with what `to_dict` returns."""
        return {"res": self.to_dict()}

    def _repr_html_(self) -> str:
        """What a notebook shows: the input, and what is wrong with it."""
        return failure_as_html(self.input_path, self.error.message)


def _is_file(save_path: str | Path, suffixes: Container[str]) -> bool:
    """Whether a path is meant as a file's, by its suffix."""
    path = Path(save_path)
    return path.suffix.lower() in suffixes and not (
        path.is_dir() or os.fspath(save_path).endswith("/")
    )


def _write(target: Path, data: bytes) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target
