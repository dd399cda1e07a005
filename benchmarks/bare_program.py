"""The bare program's process, and descriptions of what it does; see `bare_work` for the work."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.stages import StagePlan
from benchmarks.talking_process import TalkingProcess
from benchmarks.topics import Topics
from worker.bench.codec import KEPT_MEMORY
from worker.bench.codec_process import LABEL
from worker.bench.limit import Contender
from worker.images.draw import draw
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.inference.placement import available_cores
from worker.model import load_model_spec
from worker.runtime.child_environment import child_environment
from worker.settings import DecodeSettings, PictureSettings

__all__ = ["BareProgram", "no_work", "one_by_one", "work_together"]

PROGRAM = "benchmarks.transport_process"


class BareProgram(TalkingProcess):
    """The program that does the jobs of these topics; a context manager.

    Args:
        work: by one of the functions here.
        logs: a directory for its log.
    """

    def __init__(self, topics: Topics, work: Mapping[str, object], logs: Path) -> None:
        arguments = [topics.bootstrap, topics.jobs, topics.results, topics.group, json.dumps(work)]
        threads = {"OMP_NUM_THREADS": str(work.get("threads", 1))}
        super().__init__(
            "the bare program",
            [sys.executable, "-m", PROGRAM, *arguments],
            child_environment(None, **{**KEPT_MEMORY, **threads}),
            logs / f"{topics.group}.log",
            talk=True,
        )

    def longest_delay(self) -> float:
        """Ask for the longest delay of its event loop in the last seconds.

        Returns:
            Seconds.

        Raises:
            DemoError: it does not answer.
        """
        return float(self.ask(""))


def no_work(model: Path, images: Sequence[Path], *, pictures: bool) -> dict[str, object]:
    """Describe the transport alone.

    Args:
        images: files; results are as long as theirs are with a picture.

    Returns:
        What `bare_work.make_work` reads.
    """
    return {"picture": _picture_size(model, images) if pictures else 0}


def work_together(
    model: Path,
    images: Sequence[Path],
    contender: Contender,
    *,
    pictures: bool,
    least: int | None = None,
    handed_over: bool = False,
) -> dict[str, object]:
    """Describe the transport beside as many codecs and predictors as a worker has.

    Args:
        images: files, which codecs work on in turn.
        contender: what the predictors compute with.
        least: images that a predictor waits for; None for whole batches.
        handed_over: whether they work on the images that the program is given; see `hand_over`.

    Returns:
        What `bare_work.make_work` reads; with `handed_over`, only a bare service does.
    """
    plan = StagePlan(
        model=str(model),
        images=tuple(map(str, images)),
        pictures=pictures,
        backend=contender.backend,
        codecs=available_cores(),
        predictors=contender.layout.processes,
        threads=contender.layout.threads,
        batch=contender.batch,
        least=contender.batch if least is None else least,
    )
    if handed_over:
        return {"handed over": plan.as_json()}
    return no_work(model, images, pictures=pictures) | {"stages": plan.as_json()}


def one_by_one(model: Path, backend: str, *, pictures: bool) -> dict[str, object]:
    """Describe one image after the other, each computed on all cores, in the program's process.

    Returns:
        What `bare_work.make_work` reads.
    """
    return {
        "model": str(model),
        "backend": backend,
        "threads": available_cores(),
        "pictures": pictures,
    }


def _picture_size(model: Path, images: Sequence[Path]) -> int:
    """How many bytes a picture has on average, as codecs make them."""
    spec = load_model_spec(model)
    transform, settings = Transform(spec.resize, spec.crop, spec.channels), PictureSettings()
    total = 0
    for path in images:
        prepared = prepare(path.read_bytes(), transform, DecodeSettings(), settings.max_side)
        assert prepared.picture is not None
        total += len(draw(prepared.picture, LABEL, 0.5, settings.quality))
    return total // len(images)
