"""A training from a model and a data set to a checked model, which can stop and go on."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from worker import __version__
from worker.cache import models_directory, write_whole
from worker.datasets import digest, open_dataset
from worker.device import Device
from worker.errors import DatasetError, TrainingError
from worker.inference.devices import find_device
from worker.model import ModelSpec, load_model_spec
from worker.model.locate import explain_choice
from worker.settings import Settings
from worker.training.beginning import (
    LOCK,
    begin,
    locked,
    named_device,
    refuse_another,
    refuse_old_format,
    refuse_unwritable,
    versions,
    writing,
)
from worker.training.checkpoint import load
from worker.training.child import TrainingProcess
from worker.training.crop_file import CropFile
from worker.training.crops import CropReader
from worker.training.curve import draw_curve
from worker.training.features import BATCH, ImageReading, Read
from worker.training.names import BACKBONE, CROPS, EXPORT, ROWS, STATE
from worker.training.options import CONFIG, Options
from worker.training.outputs import (
    BEST_MODEL,
    CHECKPOINT,
    CURVE,
    description_of,
    publish_model,
    read_result,
    write_labels,
    write_result,
)
from worker.training.plan import Plan, check_classes, check_usable, make_plan
from worker.training.record import Record
from worker.training.reporting import Reporter
from worker.zoo.catalogue import ZooModel
from worker.zoo.download import Progress
from worker.zoo.resolve import resolve_model

__all__ = ["Training", "train"]


def train(
    options: Options,
    output: Path,
    *,
    resume: bool,
    settings: Settings,
    reporter: Reporter,
    stopping: Callable[[], bool],
    announce: Callable[[ZooModel], Progress],
) -> dict[str, Any] | None:
    """Train a model, or go on with it.

    Args:
        output: where everything is written; made if it is missing.
        resume: whether to go on with what is there.
        settings: where models are, and how images are decoded.
        stopping: asked now and then; once it is true, the checkpoint is written and this ends.
        announce: called before a model is pulled; it returns what is called with the progress.

    Returns:
        What `train_result.json` says; None if it was stopped.

    Raises:
        DatasetError: the data set cannot be used.
        ModelError: the model cannot be found, or cannot be trained.
        SettingsError: the device is none.
        TrainingError: `output` holds another training, the data do not do, or the model came out
            wrong.
        UnfitSystemError: the system lacks a library.
    """
    if resume and (finished := read_result(output)) is not None:
        reporter.note(f"the training in {output} is done already, and nothing is left to do")
        return finished
    device = _refuse_at_once(options, output, resume=resume)
    with open_dataset(options.data) as dataset:
        # Before a model is downloaded, and all images are read.
        check_classes(dataset)
        cache = settings.model_cache or models_directory()
        spec = load_model_spec(resolve_model(options.model, cache, settings.zoo, announce))
        if choice := explain_choice(options.model, spec.directory):
            reporter.note(choice)
        refuse_old_format(spec)
        device = find_device(device)
        reporter.say("reading the data set")
        plan = make_plan(dataset, digest(dataset), options.seed)
        description = description_of(spec, plan.labels, options.name)
        output.mkdir(parents=True, exist_ok=True)
        with locked(output), writing(output):
            threads = _take_place(options, output, spec, plan, resume=resume)
            training = Training(options, output, spec, plan, device, threads, reporter, stopping)
            try:
                result = training.run(description, settings)
            except DatasetError:
                if not resume:
                    # The data have to change, and then there is nothing to go on with.
                    shutil.rmtree(output / CHECKPOINT, ignore_errors=True)
                    (output / CONFIG).unlink(missing_ok=True)
                raise
            if result is not None:
                shutil.rmtree(output / CHECKPOINT)
    return result


def _refuse_at_once(options: Options, output: Path, *, resume: bool) -> Device | None:
    """Refuse what can be told before anything takes time or is written; the device if one is named.

    What a training holds and who writes into it may have changed when its place is taken.
    """
    refuse_unwritable(output)
    if not resume:
        refuse_another(output)
    if (output / LOCK).exists():
        with locked(output):
            pass
    return named_device(options)


def _take_place(
    options: Options, output: Path, spec: ModelSpec, plan: Plan, *, resume: bool
) -> int:
    """Begin to write into a directory that is locked; the threads to compute with."""
    checkpoint = output / CHECKPOINT
    if not resume:
        refuse_another(output)
        shutil.rmtree(checkpoint, ignore_errors=True)
        options.write(output)
    elif read_result(output) is not None:
        raise TrainingError(f"another process has just finished the training in {output}")
    checkpoint.mkdir(exist_ok=True)
    return begin(checkpoint, spec, plan)


class Training:
    """One training, whose checkpoint has begun."""

    def __init__(
        self,
        options: Options,
        output: Path,
        spec: ModelSpec,
        plan: Plan,
        device: Device,
        threads: int,
        reporter: Reporter,
        stopping: Callable[[], bool],
    ) -> None:
        self._options = options
        self._output = output
        self._checkpoint = output / CHECKPOINT
        self._spec = spec
        self._plan = plan
        self._device = device
        self._threads = threads
        self._reporter = reporter
        self._stopping = stopping
        self._record = Record(output)
        self._began = time.monotonic()

    def run(self, description: str, settings: Settings) -> dict[str, Any] | None:
        """Do all that is left to do.

        Returns:
            What `train_result.json` says; None if it was stopped.
        """
        counts = self._plan.counts()
        self._record.write("begun", **asdict(self._options), images=counts, version=__version__)
        rows = len(self._plan.items)
        path = self._checkpoint / CROPS if self._options.unfreeze else None
        cells = rows if path else min(rows, 2 * BATCH)
        crops = CropFile(path, cells, self._spec.input_size)
        try:
            cut = self._cut(crops)
            if self._stopping():
                return None
            read = self._train(crops, cut, settings)
            if read is None or self._stopping():
                self._record.write("stopped")
                return None
            return self._export(crops, cut, read, description)
        finally:
            crops.close()

    def _cut(self, crops: CropFile) -> Mapping[str, Any]:
        """Have the network without its head; the number of its features and former classes."""
        done = self._checkpoint / BACKBONE
        if not done.is_dir():
            self._reporter.say("cutting the head off")
            staging = self._checkpoint / f".{BACKBONE}"
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            with TrainingProcess("cut", self._threads, crops.descriptor) as process:
                process.ask(model=str(self._spec.directory), to=str(staging / BACKBONE))
                cut = process.answer()
            (staging / "cut.json").write_text(json.dumps(dict(cut)), "utf-8")
            staging.rename(done)
        known: dict[str, Any] = json.loads((done / "cut.json").read_text("utf-8"))
        return known

    def _train(self, crops: CropFile, cut: Mapping[str, Any], settings: Settings) -> Read | None:
        """Compute features and train; None if it was stopped."""
        plan, spec = self._plan, self._spec
        np.savez(self._checkpoint / ROWS, targets=plan.targets, splits=plan.splits)
        normalize = spec.normalize
        with TrainingProcess("train", self._threads, crops.descriptor) as trainer:
            self._reporter.say("loading the network")
            trainer.ask(
                do="begin",
                **self._network(cut),
                device=str(self._device),
                seed=self._options.seed,
                cells=len(crops.crops),
                normalize=[normalize.scale, normalize.mean, normalize.std],
                phases=[asdict(phase) for phase in self._options.phases()],
            )
            trainer.answer()
            known = len(Read.load(self._checkpoint).skipped)
            with CropReader(spec, settings.decode, BATCH) as reader:
                reading = ImageReading(
                    plan, self._checkpoint, reader, crops, trainer, self._reporter
                )
                read = reading.run(self._stopping)
            if read.done < len(plan.items):
                return None
            for each in read.skipped[known:]:
                self._record.write("skipped", **asdict(each))
            check_usable(plan, read.skipped)
            trainer.ask(do="train", probe=read.probe)
            answer = trainer.answer(self._hear, self._stopping)
        return read if answer["is"] == "trained" else None

    def _network(self, cut: Mapping[str, Any]) -> dict[str, Any]:
        height, width = self._spec.input_size
        return {
            "directory": str(self._checkpoint),
            "backbone": str(self._checkpoint / BACKBONE / BACKBONE),
            "features": cut["features"],
            "classes": len(self._plan.labels),
            "height": height,
            "width": width,
        }

    def _hear(self, message: Mapping[str, Any]) -> None:
        if "done" in message:
            self._record.write("epoch", **message["done"])
            self._reporter.epoch(message["done"], message["epochs"])
        else:
            self._reporter.step(message)

    def _export(
        self, crops: CropFile, cut: Mapping[str, Any], read: Read, description: str
    ) -> dict[str, Any]:
        """Write the best model, check it, and make it `best_model`."""
        self._reporter.say("writing the model and comparing its scores")
        made = self._checkpoint / EXPORT
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        (made / "inference.yml").write_text(description, "utf-8")
        asked = {**self._network(cut), "to": str(made), "threads": self._threads}
        checked: Mapping[str, Any] = {}
        for do in ("write", "check"):
            with TrainingProcess("export", self._threads, crops.descriptor) as process:
                process.ask(do=do, device=str(self._device), **asked)
                checked = process.answer()
        published = publish_model(made, self._output)
        spec = load_model_spec(published)
        facts, _ = load(self._checkpoint / STATE)
        title = f"{spec.name}, {len(self._plan.labels)} classes"
        write_whole(self._output / CURVE, draw_curve(facts["history"], title).encode())
        write_labels(self._output, self._plan.labels)
        result = {
            "done": True,
            "model": {
                "name": spec.name,
                "digest": spec.digest,
                "directory": f"{BEST_MODEL}/inference",
            },
            "base": {"name": self._spec.name, "digest": self._spec.digest},
            "data": {
                "source": self._options.data,
                "digest": self._plan.digest,
                "seed": self._options.seed,
                "images": self._plan.counts(read.skipped),
                "skipped": [asdict(each) for each in read.skipped],
            },
            "classes": list(self._plan.labels),
            "best": facts["best"],
            **facts["results"],
            "check": {name: checked[name] for name in ("plain", "served", "backend")},
            "seconds": round(time.monotonic() - self._began, 1),
            "versions": versions(),
        }
        self._record.write("done", best=facts["best"], digest=spec.digest)
        write_result(self._output, result)
        return result
