"""`create_pipeline(...).predict(...)`, as PaddleX's users know it, on the engine."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

from worker.cache import models_directory
from worker.contract.jobs import ModelIdentity
from worker.engine.pipeline import Classified
from worker.errors import JobError
from worker.inference.placement import available_cores
from worker.model import ModelSpec, load_model_spec
from worker.predict.image_call import ImageCall
from worker.predict.inputs import MISSING, Page, Source, find_sources, given_input
from worker.predict.local_engine import (
    CAPACITY,
    choose_backend,
    choose_placements,
    may_measure,
    spare_memory,
    start_engine,
    wanted_backend,
)
from worker.predict.pages import split_pages
from worker.predict.pipeline_config import PipelineConfig, load_config, parse_config
from worker.predict.read_ahead import work_ahead
from worker.predict.results import ClassificationResult, FailedInput
from worker.predict.template import PIPELINE_NAME
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
        announce: called before a model is downloaded; it returns what is called with the progress.
        settings: where models come from, how URLs are fetched, how images are decoded and, where
            `use_hpip` is None, what computes; from the environment when None.
        on_selecting: called in another thread with what the selection of the backend is doing, such
            as `measuring backends`; empty when it is done.

    Attributes:
        config: what it was made of.
        spec: the model in use.

    Raises:
        SettingsError: the environment is not right; or `use_hpip`, and nothing is installed to
            choose from; or the backend that is set does not go with the device.
        UnfitSystemError: the backend that is set is not installed, or the system lacks a library.
        ModelError: the model is missing, damaged or cannot be downloaded, or the device is not
            available.
        PredictorError: a device's process died or hung while it started.
    """

    def __init__(
        self,
        config: PipelineConfig,
        announce: Callable[[ZooModel], Progress] = lambda _: unwatched,
        settings: Settings | None = None,
        on_selecting: Callable[[str], None] = lambda _: None,
    ) -> None:
        settings = settings or load().settings
        wanted = wanted_backend(config, settings.predictor)
        placements = choose_placements(config.device, wanted, settings.predictor.kernels)
        self.config = config
        # Before a model is downloaded.
        backend = choose_backend(config, settings.predictor, placements[0].device)
        cache = settings.model_cache or models_directory()
        self.spec: ModelSpec = load_model_spec(
            resolve_model(config.model, cache, settings.zoo, announce)
        )
        placements = spare_memory(placements, self.spec.params.stat().st_size)
        self._slots = len(placements)
        self._devices = len({placement.device for placement in placements})
        # Once: to read a container's quota takes half a millisecond, a tenth of a small network.
        self._cores = available_cores()
        measure = may_measure(config, settings.predictor)
        self._portal = start_engine(
            self.spec, placements, backend, settings, on_selecting, may_measure=measure
        )
        self._limits = settings.decode

    @property
    def backend(self) -> str:
        """What computes: `paddle+onednn`, `openvino` and the like."""
        return self.identity.backend

    @property
    def unmeasured(self) -> bool:
        """Whether Paddle computes only since the backends installed here were never measured."""
        return self._portal.value.pool.unmeasured

    @property
    def identity(self) -> ModelIdentity:
        """The model that computes the results: its name, digest and backend."""
        return self._portal.value.identity

    @overload
    def predict(
        self,
        input: object = ...,
        *,
        x: object = ...,
        batch_size: int | None = None,
        topk: int | None = None,
        on_error: Literal["raise"] = "raise",
    ) -> Results: ...

    @overload
    def predict(
        self,
        input: object = ...,
        *,
        x: object = ...,
        batch_size: int | None = None,
        topk: int | None = None,
        on_error: Literal["yield"],
    ) -> ResultsAndFailures: ...

    def predict(
        self,
        input: object = MISSING,  # noqa: A002 - PaddleX's name
        *,
        x: object = MISSING,
        batch_size: int | None = None,
        topk: int | None = None,
        on_error: Literal["raise", "yield"] = "raise",
    ) -> Results | ResultsAndFailures:
        """Classify images, lazily and in order.

        Args:
            input: an array (`uint8`; `[H, W, 3]` BGR, `[H, W, 4]` BGRA or `[H, W]` grey), a path, a
                URL, a glob pattern, a directory, encoded bytes, `{"img": any of these}`, or an
                iterable of these. Each page of a TIFF or PDF file is an image. Of an iterator,
                `batch_size` images per device are taken, and no more before their results have
                been; of other inputs the next ones are read and computed meanwhile, on CPU several
                batches at a time.
            x: another name for `input`, from PaddleX's documentation.
            batch_size: images of the largest batch, at most 1024; the pipeline's own when None.
            topk: categories per result; None or 0 is the pipeline's own, and more than there are
                classes means all.
            on_error: an image that cannot be used raises in its turn, after the results before it,
                or yields a `FailedInput` in its place.

        Returns:
            An iterator of one result per image. Nothing is read before the first one is asked for.

        Raises:
            ValueError: `batch_size`, `topk` or `on_error` is out of range.
            RuntimeError: it is closed, or this is a fork of the process that made it.
            TypeError: there is no input, or `batch_size` or `topk` is no whole number; when
                iterated, an input is no image at all.
            JobError: when iterated, an image cannot be used, or breaks the network even alone.
            PredictorError: when iterated, the network's processes cannot be started again.
        """
        self._portal.check()
        given = given_input(input, x)
        size = self.config.batch_size if batch_size is None else operator.index(batch_size)
        count = operator.index(topk or 0) or self.config.topk or self.spec.top_k
        if size < 1:
            raise ValueError(f"batch_size is {size}; it must be 1 or more")
        if count < 0:
            raise ValueError(f"topk is {count}; it must be 1 or more, or 0 for the model's own")
        if on_error not in ("raise", "yield"):
            raise ValueError(f"on_error is {on_error!r}; it must be 'raise' or 'yield'")
        results = self._predict(given, size, count)
        return results if on_error == "yield" else _raising(results)

    def classify(
        self, sources: Iterable[Source], batch_size: int | None = None
    ) -> Iterator[tuple[Source, Classified | JobError]]:
        """Classify images one by one, as `predict` does, with all that is known of each.

        Args:
            sources: of a file with several pages, the first page is taken, as the worker does.
            batch_size: as for `predict`, and in range.

        Yields:
            Each source, in order, with its best category, its pixels and the scores of all classes,
            or with what is wrong with it.

        Raises:
            RuntimeError: it is closed, or this is a fork of the process that made it.
            PredictorError: the network's processes cannot be started again.
        """
        self._portal.check()
        return self._classify(sources, batch_size or self.config.batch_size, 1)

    def pages(self, given: object) -> Iterator[Source]:
        """The single images in `given`, lazily and in order: of TIFF and PDF files each page.

        Args:
            given: as for `predict`.

        Returns:
            Sources that `predict` takes as well, and reads no second time.
        """
        return split_pages(find_sources(given), self._fetch, self._limits)

    def close(self) -> None:
        """End its thread and processes; further use is an error."""
        self._portal.close()

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
        in_groups = isinstance(given, Iterator)
        for source, found in self._classify(self.pages(given), size, count, in_groups=in_groups):
            yield _result(source, found)

    def _classify(
        self, sources: Iterable[Source], size: int, count: int, *, in_groups: bool = False
    ) -> Iterator[tuple[Source, Classified | JobError]]:
        most = min(size, CAPACITY)
        # A batch that each slot computes, its next one, and what all cores read meanwhile.
        ahead = 2 * most * self._slots + self._cores
        calls = work_ahead(
            sources,
            lambda source: ImageCall(self._portal, source, count, most),
            most * self._devices if in_groups else ahead,
            in_groups=in_groups,
            # So that all cores read and all slots compute, however large images are.
            few=None if in_groups else 2 * self._slots + self._cores,
        )
        for call in calls:
            yield call.source, call.wait()

    def _fetch(self, url: str) -> bytes:
        return self._portal.call(self._portal.value.fetch(url))


def create_pipeline(
    pipeline: str | Path = PIPELINE_NAME,
    config: Mapping[str, Any] | None = None,
    device: str | None = None,
    *,
    use_hpip: bool | None = None,
    model: str | Path | None = None,
    batch_size: int | None = None,
    topk: int | None = None,
    hpi_config: object = None,  # noqa: ARG001 - PaddleX's users pass it
) -> ImageClassificationPipeline:
    """Load a pipeline; the arguments override its configuration.

    Args:
        pipeline: `image_classification`, or the path of a configuration file.
        config: a configuration itself, as parsed from such a file, instead of `pipeline`.
        device: as `Device.parse` reads it; the first GPU, else the CPU, when None.
        use_hpip: take the fastest backend that agrees with Paddle, and measure if that was not done
            before; False is Paddle. None is what was selected before for the model and this machine
            (by a worker, or by `use_hpip=True`), else Paddle, unless the environment names one.
        model: a model's name, or the directory of an inference model.
        batch_size: images of the largest batch; see `predict`.
        topk: categories per result.
        hpi_config: of PaddleX's own plug-in; accepted, and without effect, as in a file.

    Returns:
        The pipeline, with its model loaded and its processes started.

    Raises:
        SettingsError: the configuration, the environment, or what is given here, is not right; or
            `use_hpip`, and nothing is installed to choose from.
        UnfitSystemError: the backend that the environment names is not installed, or the system
            lacks a library.
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


def _result(source: Source, found: Classified | JobError) -> ClassificationResult | FailedInput:
    if isinstance(found, JobError):
        return FailedInput(source.input_path, _of_page(found, source.page))
    assert found.picture is not None
    return ClassificationResult(source.input_path, found.picture, found.categories, source.page)


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
