"""What a pipeline is made of: read from a file in either of PaddleX's two shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError

from worker.bounded_yaml import BoundedLoader, TooLargeError, read_text
from worker.device import Device
from worker.errors import SettingsError
from worker.predict.template import TEMPLATE, check_name
from worker.settings import Group

__all__ = ["PipelineConfig", "load_config", "parse_config"]

BatchSize = Annotated[int, Field(ge=1, le=1024)]
TopK = Annotated[int, Field(ge=0, le=100_000)]

G = TypeVar("G", bound=Group)


class PipelineConfig(Group):
    """The parts of a pipeline.

    Attributes:
        model: a model's name, or the directory of an inference model.
        device: None is the first GPU, else the CPU.
        batch_size: images of the largest batch; see `ImageClassificationPipeline.predict`.
        topk: categories per result; None or 0 is the model's own default.
        use_hpip: take the fastest backend that agrees with Paddle, and measure if need be; False is
            Paddle, and None what was selected before, else Paddle.
    """

    model: str = Field(min_length=1)
    device: Device | None = None
    batch_size: BatchSize = 1
    topk: TopK | None = None
    use_hpip: bool | None = None

    def overridden(self, where: str, **given: object) -> PipelineConfig:
        """Override values of the file.

        Args:
            where: what errors call the source of the values.
            given: new values; None leaves the file's.

        Returns:
            A copy with the new values.

        Raises:
            SettingsError: a value is out of range; the message begins with `where`.
        """
        values = self.model_dump() | {k: v for k, v in given.items() if v is not None}
        return _checked(PipelineConfig, values, where)


class _Module(Group):
    module_name: Literal["image_classification"] = "image_classification"
    # `model_dir`, when it is set, is where the model of that name is.
    model_name: str | None = None
    model_dir: str | None = None
    batch_size: BatchSize = 1
    topk: TopK | None = None
    use_hpip: bool | None = None  # wins over the pipeline's
    hpi_config: object = None  # of PaddleX's own plug-in; without effect here


class _SubModules(Group):
    image_classification: _Module = Field(alias="ImageClassification")


class _Long(Group):
    """The shape since PaddleX 3.0: `pipeline_name` and `SubModules`."""

    pipeline_name: Literal["image_classification"]
    device: Device | None = None
    use_hpip: bool | None = None
    hpi_config: object = None
    serving: object = Field(None, alias="Serving")  # of PaddleX's HTTP service
    sub_modules: _SubModules = Field(alias="SubModules")

    def flat(self, where: str) -> PipelineConfig:
        module = self.sub_modules.image_classification
        model = module.model_dir or module.model_name
        if not model:
            raise SettingsError(f"{where}: SubModules.ImageClassification.model_name is missing")
        return _checked(
            PipelineConfig,
            {
                "model": model,
                "device": self.device,
                "batch_size": module.batch_size,
                "topk": module.topk,
                "use_hpip": self.use_hpip if module.use_hpip is None else module.use_hpip,
            },
            where,
        )


class _Global(Group):
    pipeline_name: Literal["image_classification"] = "image_classification"
    input: object = None  # PaddleX's sample image; the caller gives its own


class _Pipeline(PipelineConfig):
    # Here too, `model_dir` is where the model is when it is set; one of the two is enough.
    model: str = ""
    model_dir: str | None = None


class _Short(Group):
    """The shape before, and the one that is written here: `Pipeline: {model, device, ...}`."""

    global_: _Global | None = Field(None, alias="Global")
    pipeline: _Pipeline = Field(alias="Pipeline")

    def flat(self, where: str) -> PipelineConfig:
        values = self.pipeline.model_dump(exclude={"model_dir"})
        model = self.pipeline.model_dir or self.pipeline.model
        if not model:
            raise SettingsError(f"{where}: Pipeline.model is missing")
        return _checked(PipelineConfig, values | {"model": model}, where)


def load_config(pipeline: str | Path) -> PipelineConfig:
    """Read the configuration of a pipeline.

    Args:
        pipeline: its name, or the path of its file.

    Returns:
        The configuration, checked.

    Raises:
        SettingsError: there is no such pipeline or file, or the file is not right.
    """
    path = Path(pipeline)
    if isinstance(pipeline, str) and path.suffix not in (".yaml", ".yml"):
        check_name(pipeline)
        return parse_config(yaml.safe_load(TEMPLATE), pipeline)
    try:
        loader = BoundedLoader(read_text(path))
        root = loader.get_single_node()
        document = None if root is None else loader.value(root)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except TooLargeError as error:
        raise SettingsError(f"{path} {error}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return parse_config(document, str(path))


def parse_config(document: object, where: str) -> PipelineConfig:
    """Read the configuration in a parsed document.

    Args:
        document: a mapping in one of the two shapes.
        where: what errors call the document.

    Returns:
        The configuration, checked.

    Raises:
        SettingsError: naming each key that is missing, unknown or out of range.
    """
    if not isinstance(document, Mapping):
        raise SettingsError(f"{where} must be a mapping with Pipeline, or with SubModules")
    if "SubModules" in document:
        return _checked(_Long, document, where).flat(where)
    return _checked(_Short, document, where).flat(where)


def _checked(group: type[G], values: Mapping[str, Any], where: str) -> G:
    try:
        return group.model_validate(values)
    except ValidationError as error:
        problems = []
        for detail in error.errors(include_url=False):
            key = ".".join(str(part) for part in detail["loc"])
            match detail["type"]:
                case "extra_forbidden":
                    problems.append(f"{key} is not known here")
                case "missing":
                    problems.append(f"{key} is missing")
                case _:
                    reason = detail["msg"].removeprefix("Value error, ")
                    reason = reason[:1].lower() + reason[1:]
                    problems.append(f"{key} is {detail['input']!r:.80}: {reason}")
        raise SettingsError(f"{where}: {'; '.join(problems)}") from error
