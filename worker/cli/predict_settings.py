"""Which of the worker's settings `predict` and `evaluate` follow, and what wins over what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.predict.pipeline_config import PipelineConfig, load_config
from worker.settings.sources.command_line import SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.settings import Settings
    from worker.settings.sources import Loaded

__all__ = ["EVALUATE_FOLLOWS", "PREDICT_FOLLOWS", "PREDICT_FOLLOWS_NOT", "pipeline_config"]

EVALUATE_FOLLOWS = (
    "model",
    "model_dir",
    "model_cache",
    "device",
    "zoo.",
    "decode.",
    "batching.max_batch",
    "predictor.backend",
    "predictor.precision",
    "predictor.tensorrt",
)
"""Settings, and groups of them, that `evaluate` follows."""

PREDICT_FOLLOWS = (*EVALUATE_FOLLOWS, "fetch.", "result_cache.", "predictor.top_k")
"""Those that `predict` follows."""

PREDICT_FOLLOWS_NOT = (
    # The user types the URL and may reach any address.
    "fetch.allow_networks",
    "fetch.trust_env",
)


def pipeline_config(
    pipeline: str, loaded: Loaded, options: Mapping[str, object | None]
) -> PipelineConfig:
    """Read the configuration of the pipeline that the user chose.

    In the order of precedence: options, `--set`, the pipeline's file, settings from a file or the
    environment, defaults.

    Args:
        pipeline: its name or its file.
        options: what the command line gives, by the names of `PipelineConfig`.

    Returns:
        The configuration, with everything that takes precedence over the pipeline's file.

    Raises:
        SettingsError: the pipeline, its file or an option is not right.
    """
    chosen = _chosen(loaded.settings)
    keys = {"model": ("model", "model_dir"), "topk": ("predictor.top_k",)}
    keys |= {"batch_size": ("batching.max_batch",), "device": ("device",)}
    given: dict[str, object] = {}
    for name, value in chosen.items():
        sources = {loaded.sources[key] for key in keys[name]} - {"default"}
        if SOURCE in sources or (sources and not _is_file(pipeline)):
            given[name] = value
    given |= {name: value for name, value in options.items() if value is not None}
    config = load_config(pipeline).overridden("predict", **given)
    if loaded.sources["predictor.backend"] == SOURCE and options.get("use_hpip") is None:
        # It wins over the file, whose `use_hpip` would otherwise decide.
        return config.model_copy(update={"use_hpip": None})
    return config


def _chosen(settings: Settings) -> dict[str, object | None]:
    return {
        "model": settings.model if settings.model_dir is None else str(settings.model_dir),
        "device": settings.device,
        "topk": settings.predictor.top_k,
        # 0 is for the worker to measure.
        "batch_size": settings.batching.max_batch or None,
    }


def _is_file(pipeline: str) -> bool:
    return pipeline.endswith((".yaml", ".yml"))
