"""Finds the inference model that a path means; if there is none, says what to pass instead."""

from __future__ import annotations

import difflib
from pathlib import Path

__all__ = [
    "PROGRAM_FILES",
    "advise",
    "explain_choice",
    "has_program",
    "inference_directory",
    "near_directory",
]

PROGRAM_FILES = ("inference.json", "inference.pdmodel")
"""The network, in the format of now and the one before."""

_EXPORTED = ("inference", "best_model/inference")
"""Where a training, `classify-worker train` or PaddleX's, leaves the inference model: below its
output or its best model."""

_WEIGHTS = ".pdparams"
_ARCHIVES = (".tar", ".tar.gz", ".tgz")
_FILES = (*PROGRAM_FILES, "inference.pdiparams", "inference.yml")


def inference_directory(directory: Path) -> Path:
    """Find the inference model in a directory or in a training's output.

    Returns:
        The directory itself, or the one below it that holds the inference model.
    """
    candidates = (directory, *(directory / below for below in _EXPORTED))
    return next((each for each in candidates if has_program(each)), directory)


def explain_choice(given: Path | str, taken: Path) -> str | None:
    """Say which model was taken, where what was given is the output of a training.

    Args:
        given: what the user named: a path, or a model's name.
        taken: the directory of the model's files.

    Returns:
        A sentence; None where what was given is the model's directory itself, or a name.
    """
    directory = Path(given).expanduser()
    if taken == directory or not directory.is_dir():
        return None
    return f"{given} is the output of a training: its model in {taken} is used"


def advise(given: Path | str) -> str | None:
    """Say what to do where a path is no model: weights to train further, an archive, a single file.

    Args:
        given: a file, or a directory without a network; it need not exist, and may be a URL.

    Returns:
        A sentence that begins with what was given; None if nothing better is known.
    """
    path = Path(given)
    if path.is_dir():
        return _advise_directory(path)
    name = path.name.lower()
    if name.endswith(_WEIGHTS):
        beside = inference_directory(path.parent)
        if has_program(beside):
            return (
                f"{given} holds weights to train further; the inference model is {beside}: use it"
            )
        return (
            f"{given} holds weights to train further, without the network: export an inference "
            "model from them, as PaddleX's training does into best_model/inference, and use its "
            "directory"
        )
    if name.endswith(_ARCHIVES):
        return (
            f"{given} is an archive: unpack it (tar -xf {path.name}), and use the directory in it"
        )
    if name in _FILES:
        return f"{given} is one file of a model: use its directory, {path.parent}"
    return None


def near_directory(given: str) -> Path | None:
    """Find the directory that was likely meant by one that does not exist.

    Returns:
        One beside it that is called almost like it, and holds a model; None if there is none.
    """
    path = Path(given).expanduser()
    try:
        beside = sorted(each.name for each in path.parent.iterdir() if each.is_dir())
    except (OSError, ValueError):
        return None
    near = difflib.get_close_matches(path.name, beside, cutoff=0.6)
    found = (path.with_name(name) for name in near)
    return next((each for each in found if has_program(inference_directory(each))), None)


def _advise_directory(directory: Path) -> str | None:
    for below in (directory, directory / "best_model"):
        weights = sorted(below.glob(f"*{_WEIGHTS}"))
        if weights:
            return advise(weights[0])
    archives = sorted(directory.glob("*_infer.tar"))
    return advise(archives[0]) if archives else None


def has_program(directory: Path) -> bool:
    """Look whether a directory has a network in it.

    Returns:
        Whether a file of that name is there; it is not read.
    """
    return any((directory / name).is_file() for name in PROGRAM_FILES)
