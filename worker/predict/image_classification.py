"""The Python door: `create_pipeline(...).predict(...)`, as the reference's users know it."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

from worker.cache import models_directory
from worker.contract.jobs import Prepared
from worker.engine.categories import choose_categories
from worker.errors import JobError
from worker.images.transform import Transform
from worker.inference.placement import Placement, available_cores, place
from worker.model import ModelSpec, load_model_spec
from worker.predict.inputs import Page, find_sources
from worker.predict.pages import split_pages
from worker.predict.pipeline_config import PipelineConfig, load_config, parse_config
from worker.predict.reader import Read, Reader, local_fetch, read_batches
from worker.predict.results import ClassificationResult, FailedInput
from worker.predict.runners import make_runner
from worker.predict.template import PIPELINE_NAME
from worker.predictor.backends.devices import (
    check_device,
    default_device,
    import_paddle,
    probe_build,
)
from worker.settings import Settings
from worker.settings.sources import load
from worker.zoo.catalogue import ZooModel
from worker.zoo.download import Progress, unwatched
from worker.zoo.resolve import resolve_model

__all__ = ["ImageClassificationPipeline", "create_pipeline"]

Results = Iterator[ClassificationResult]
ResultsAndFailures = Iterator[ClassificationResult | FailedInput]


class ImageClassificationPipeline:
    """A loaded model that classifies what it is given; safe to use from several threads.

    A context manager: leaving it ends its threads and processes, as the interpreter's exit does.

    Args:
        config: what to make it of.
        announce: called before a model is downloaded; what it returns is told how that goes on.
        settings: where models come from, what is refused before decoding, and how URLs are fetched;
            from the environment when None.

    Attributes:
        config: what it was made of.
        spec: the model in use.

    Raises:
        SettingsError: the device is malformed.
        ModelError: the model is missing, damaged or cannot be downloaded, or the device is not
            available.
        PredictorError: a device's process died or hung while it started.
    """

    def __init__(
        self,
        config: PipelineConfig,
        announce: Callable[[ZooModel], Progress] = lambda _: unwatched,
        settings: Settings | None = None,
    ) -> None:
        placements = _placements(config.device)
        self._process = os.getpid()
        self.config = config
        settings = settings or load().settings
        cache = settings.model_cache or models_directory()
        self.spec: ModelSpec = load_model_spec(
            resolve_model(config.model, cache, settings.zoo, announce)
        )
        self._limits = settings.decode
        self._reader = Reader(
            Transform(self.spec.resize, self.spec.crop, self.spec.channels),
            self._limits,
            local_fetch(settings.fetch),
        )
        self._runner = make_runner(
            self.spec, placements, use_hpip=config.use_hpip, batch_size=config.batch_size
        )
        self._threads = available_cores()
        self._executor = ThreadPoolExecutor(self._threads, "read")

    @property
    def backend(self) -> str:
        """What computes: `paddle+onednn`, `openvino` and the like."""
        return self._runner.backend

    @overload
    def predict(
        self,
        input: object,
        *,
        batch_size: int | None = None,
        topk: int | None = None,
        on_error: Literal["raise"] = "raise",
    ) -> Results: ...

    @overload
    def predict(
        self,
        input: object,
        *,
        batch_size: int | None = None,
        topk: int | None = None,
        on_error: Literal["yield"],
    ) -> ResultsAndFailures: ...

    def predict(
        self,
        input: object,  # noqa: A002 - the reference's name
        *,
        batch_size: int | None = None,
        topk: int | None = None,
        on_error: Literal["raise", "yield"] = "raise",
    ) -> Results | ResultsAndFailures:
        """Classify images, lazily and in order.

        Args:
            input: an array (`uint8`; `[H, W, 3]` BGR, `[H, W, 4]` BGRA or `[H, W]` grey), a path, a
                URL, a glob pattern, a directory, encoded bytes, `{"img": any of these}`, or an
                iterable of these. Each page of a TIFF or PDF file is an image. An iterator is read
                as far as each batch needs; of other inputs the next batch is read while one is
                computed.
            batch_size: images that the network computes at once, per device; the pipeline's own
                when None.
            topk: categories per result; None or 0 is the pipeline's own, and more than there are
                classes means all.
            on_error: an image that cannot be used raises in its turn, after the results before it,
                or yields a `FailedInput` in its place.

        Raises:
            ValueError: `batch_size`, `topk` or `on_error` is out of range.
            RuntimeError: this is a fork of the process that made it.
            TypeError: `batch_size` or `topk` is no whole number; when iterated, an input is no
                image at all.
            JobError: when iterated, an image cannot be used.
            PredictorError: when iterated, the network failed.
        """
        if os.getpid() != self._process:
            # Threads do not survive a fork: it would wait for them for ever.
            raise RuntimeError(
                "a pipeline works in the process that made it, and in no fork: make one in each"
            )
        size = self.config.batch_size if batch_size is None else operator.index(batch_size)
        count = operator.index(topk or 0) or self.config.topk or self.spec.top_k
        if size < 1:
            raise ValueError(f"batch_size is {size}; it must be 1 or more")
        if count < 0:
            raise ValueError(f"topk is {count}; it must be 1 or more, or 0 for the model's own")
        if on_error not in ("raise", "yield"):
            raise ValueError(f"on_error is {on_error!r}; it must be 'raise' or 'yield'")
        results = self._predict(input, size * self._runner.width, count)
        return results if on_error == "yield" else _raising(results)

    def close(self) -> None:
        """End its threads and processes; further use is an error."""
        self._executor.shutdown(cancel_futures=True)
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _predict(self, given: object, size: int, count: int) -> ResultsAndFailures:
        ahead = 0 if isinstance(given, Iterator) else max(1, self._threads // size)
        sources = split_pages(find_sources(given), self._reader.load, self._limits)
        batches = read_batches(sources, self._reader, self._executor, size, ahead)
        for batch in batches:
            yield from self._classify(batch, count)

    def _classify(self, batch: Sequence[Read], count: int) -> ResultsAndFailures:
        crops = [read.crop for _, read in batch if isinstance(read, Prepared)]
        rows = iter(self._runner.scores(crops) if crops else ())
        for source, read in batch:
            if isinstance(read, JobError):
                yield FailedInput(source.input_path, _of_page(read, source.page))
            else:
                assert read.picture is not None
                categories = choose_categories(next(rows), count, self.spec)
                yield ClassificationResult(source.input_path, read.picture, categories, source.page)


def create_pipeline(
    pipeline: str | Path = PIPELINE_NAME,
    config: Mapping[str, Any] | None = None,
    device: str | None = None,
    *,
    use_hpip: bool | None = None,
    model: str | Path | None = None,
    batch_size: int | None = None,
    topk: int | None = None,
    hpi_config: object = None,  # noqa: ARG001 - the reference's users pass it
) -> ImageClassificationPipeline:
    """Load a pipeline; what is given here wins over its configuration.

    Args:
        pipeline: `image_classification`, or the path of a configuration file.
        config: a configuration itself, as parsed from such a file, instead of `pipeline`.
        device: `cpu`, `gpu:0`, `gpu:0,1`, `npu:0`, `xpu:0` or `mlu:0`.
        use_hpip: take the fastest backend that agrees with Paddle.
        model: a model's name, or the directory of an inference model.
        batch_size: images that the network computes at once, per device.
        topk: categories per result.
        hpi_config: of the reference's own plug-in; accepted, and without effect, as in a file.

    Raises:
        SettingsError: the configuration, or what is given here, is not right.
        ModelError: the model is missing, damaged or cannot be downloaded, or the device is not
            available.
        PredictorError: a device's process died or hung while it started.
    """
    loaded = load_config(pipeline) if config is None else parse_config(config, "config")
    return ImageClassificationPipeline(
        loaded.overridden(
            "create_pipeline",
            device=device,
            use_hpip=use_hpip,
            model=None if model is None else str(model),
            batch_size=batch_size,
            topk=topk,
        )
    )


def _placements(device: str | None) -> list[Placement]:
    """One per device, each with all cores; refuses what cannot be used here."""
    cores = available_cores()
    # First, because loading Paddle takes a second.
    placements = place(device, 0, cores, cores) if device is not None else []
    build = probe_build(import_paddle(device or ""))
    for placement in placements:
        check_device(placement.device, build)
    return placements or place(default_device(build), 0, cores, cores)


def _of_page(error: JobError, page: Page | None) -> JobError:
    if page is None or page.count == 1:
        return error
    return replace(error, message=f"page {page.index + 1} of {page.count}: {error.message}")


def _raising(results: ResultsAndFailures) -> Results:
    for result in results:
        if isinstance(result, FailedInput):
            raise _named(result)
        yield result


def _named(failed: FailedInput) -> JobError:
    if not failed.input_path:
        return failed.error
    return replace(failed.error, message=f"{failed.input_path}: {failed.error.message}")
