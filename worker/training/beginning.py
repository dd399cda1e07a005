"""What must hold before a training begins, or goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker import __version__
from worker.cache import exclusive, write_whole
from worker.device import Device
from worker.errors import ModelError, SettingsError, TrainingError
from worker.hpip import package_version
from worker.inference.placement import available_cores
from worker.model import ModelSpec
from worker.training.names import BEGUN
from worker.training.options import CONFIG, Options
from worker.training.outputs import BEST_MODEL
from worker.training.plan import Plan

__all__ = [
    "LOCK",
    "begin",
    "locked",
    "named_device",
    "refuse_another",
    "refuse_old_format",
    "refuse_unwritable",
    "versions",
    "writing",
]

LOCK = ".lock"


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Keep other trainings out of a directory for as long as the block runs.

    Raises:
        TrainingError: one is in it.
    """
    try:
        with exclusive(output / LOCK, wait=False):
            yield
    except BlockingIOError as error:
        raise TrainingError(
            f"another training writes into {output}: wait for it, or name another directory"
        ) from error


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Say of a full or failing disk which directory is on it: such errors name no file.

    Raises:
        TrainingError: it cannot be written.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # who reads the progress has gone
    except OSError as error:
        if error.filename is not None:
            raise
        raise TrainingError(
            f"{output} cannot be written: {error.strerror or error}; once that is corrected, "
            "--resume goes on with what has been begun"
        ) from error


def refuse_another(output: Path) -> None:
    """Refuse to write over a training.

    Raises:
        TrainingError: there is one.
    """
    if any((output / name).exists() for name in (CONFIG, BEST_MODEL)):
        raise TrainingError(
            f"{output} holds a training already: go on with it (--resume), or train into another "
            "directory"
        )


def refuse_old_format(spec: ModelSpec) -> None:
    """Refuse `inference.pdmodel`, which cannot be cut.

    Raises:
        ModelError: it is one; the message says what to do.
    """
    if spec.program.suffix != ".json":
        raise ModelError(
            f"{spec.program} is in the format before inference.json, which cannot be trained: "
            "export the model again with PaddlePaddle 3, or name a published model "
            "(classify-worker models list)"
        )


def refuse_unwritable(output: Path) -> None:
    """Refuse a directory that cannot be made or written into, before anything takes time.

    Raises:
        TrainingError: it is one.
    """
    there = next(each for each in (output, *output.absolute().parents) if each.exists())
    if not there.is_dir():
        raise TrainingError(f"{there} is a file: name a directory for the results")
    if not os.access(there, os.W_OK | os.X_OK):
        raise TrainingError(f"{there} cannot be written into: name another directory")


def named_device(options: Options) -> Device | None:
    """Read the device to train on.

    Returns:
        A single one; None if none was named.

    Raises:
        SettingsError: several were named, or what was named is none.
    """
    if options.device is None:
        return None
    try:
        named = Device.parse(options.device)
    except ValueError as error:
        raise SettingsError(f"--device {options.device}: {error}") from error
    if len(named.split()) > 1:
        raise SettingsError(f"--device {named}: name one device to train on")
    return named


def begin(checkpoint: Path, spec: ModelSpec, plan: Plan) -> int:
    """Note what a training depends on, or check that it is still the same.

    Returns:
        CPU threads to compute with: sums depend on their number.

    Raises:
        TrainingError: something has changed.
    """
    path = checkpoint / BEGUN
    now = {"data": plan.fingerprint, "model": spec.digest, "versions": versions()}
    try:
        begun = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        begun = {**now, "threads": available_cores()}
        write_whole(path, json.dumps(begun).encode())
    for name, what in (("data", "the data set"), ("model", "the model")):
        if begun[name] != now[name]:
            raise TrainingError(
                f"{what} has changed since the training in {checkpoint.parent} was begun: train "
                "into another directory"
            )
    threads: int = begun["threads"]
    return threads


def versions() -> dict[str, str]:
    """Name what computes.

    Returns:
        The versions by package.
    """
    return {"classify-worker": __version__, "paddlepaddle": package_version("paddlepaddle")}
