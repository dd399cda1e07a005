"""The catalogue of the zoo: `models.yaml` beside this file, read when it is first asked for."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from worker.model import CenterCrop, Resize

__all__ = [
    "Addresses",
    "ZooModel",
    "addresses",
    "catalogue",
    "describe_family",
    "is_local",
    "nearest_names",
    "others_here",
]


@dataclass(frozen=True, slots=True)
class ZooModel:
    """One published model.

    Attributes:
        top1: accuracy on ImageNet-1k's validation set, in percent.
        gpu_ms: milliseconds for one image on a Tesla T4.
        cpu_ms: the same on a Xeon Gold 5117 with 8 threads; None when not published.
        size: of the weights, in bytes, as rounded by the publisher.
        resize: what its `inference.yml` says, as is `crop`.
    """

    name: str
    family: str
    top1: float
    gpu_ms: float
    cpu_ms: float | None
    size: int
    resize: Resize
    crop: CenterCrop

    @property
    def archive(self) -> str:
        """The archive's file name on the official host, and on any mirror of it."""
        return f"{self.name}_infer.tar"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the publisher keeps what belongs to the models; each ends with a slash.

    Attributes:
        archives: of inference models, `NAME_infer.tar`.
        archives_beta2: the same models as PaddlePaddle 3.0.0-beta2 exported them.
        weights: to train further, `NAME_pretrained.pdparams`.
    """

    archives: str
    archives_beta2: str
    weights: str


@functools.cache
def catalogue() -> Mapping[str, ZooModel]:
    """Read the catalogue, once.

    Returns:
        All models by name, family by family.
    """
    document = _document()
    return MappingProxyType(
        {
            name: _model(name, family, row, document["inputs"])
            for family, rows in document["models"].items()
            for name, row in rows.items()
        }
    )


def addresses() -> Addresses:
    """Read where the models are published.

    Returns:
        The addresses.
    """
    return Addresses(**_document()["addresses"])


def is_local(name: str, cache: Path) -> bool:
    """Look whether a model is in the cache; its files are not read.

    Returns:
        Whether its directory is there.
    """
    return (cache / name).is_dir()


def describe_family(family: str) -> str:
    """Describe a family of models, by its name in the catalogue.

    Returns:
        A sentence or two.
    """
    text: str = _document()["families"][family]
    return text


def others_here(cache: Path) -> list[str]:
    """Look which models are in the cache that are not published ones; `--model` takes their names.

    Returns:
        Their names, sorted.
    """
    from worker.model.locate import has_program, inference_directory  # noqa: PLC0415 - see below

    try:
        names = sorted(path.name for path in cache.iterdir() if not path.name.startswith("."))
    except OSError:  # there is none, or it is not ours
        return []
    return [
        name
        for name in names
        if name not in catalogue() and has_program(inference_directory(cache / name))
    ]


def nearest_names(name: str, count: int = 3, others: Iterable[str] = ()) -> list[str]:
    """Find the names in the catalogue that are most like `name`.

    Args:
        others: names beside those in the catalogue.

    Returns:
        Up to `count` names, best first; maybe none.
    """
    # People leave out or mix up separators and case more than anything else.
    plain = {_plain(known): known for known in (*catalogue(), *others)}
    found = difflib.get_close_matches(_plain(name), plain, count, cutoff=0.6)
    return [plain[match] for match in found]


def _plain(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())


@functools.cache
def _document() -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - commands import this module for their help, too

    text = resources.files(__package__).joinpath("models.yaml").read_text("utf-8")
    # libyaml's loader where PyYAML has it: the other takes longer than all else in `models list`.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = yaml.load(text, loader)  # noqa: S506 - both are safe loaders
    return document


def _model(
    name: str, family: str, row: Mapping[str, Any], inputs: Mapping[str, Mapping[str, Any]]
) -> ZooModel:
    from worker.model import CenterCrop, Resize  # noqa: PLC0415 - see above

    prepared = inputs[row["input"]]
    interpolation: Literal["bilinear", "bicubic"] = prepared["interpolation"]
    return ZooModel(
        name=name,
        family=family,
        top1=float(row["top1"]),
        gpu_ms=row["gpu_ms"],
        cpu_ms=row["cpu_ms"],
        size=round(row["mib"] * 2**20),
        resize=Resize(prepared["resize_short"], None, interpolation, prepared["backend"]),
        crop=CenterCrop(prepared["crop"], prepared["crop"]),
    )
