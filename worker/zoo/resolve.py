"""From what an operator calls a model to the directory that holds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from worker.errors import ModelError
from worker.model import find_model
from worker.model.locate import advise, near_directory
from worker.settings import ZooSettings
from worker.zoo.catalogue import ZooModel, catalogue, nearest_names, others_here
from worker.zoo.download import Progress, unwatched
from worker.zoo.pull import pull

__all__ = ["resolve_model"]

SHOWN = 100
"""Characters of a name that are shown where it is too long to be one."""


def resolve_model(
    model: str,
    cache: Path,
    settings: ZooSettings,
    announce: Callable[[ZooModel], Progress] = lambda _: unwatched,
) -> Path:
    """Find a model by its path or by its name in the cache, or pull a published one.

    Args:
        announce: called before a model is pulled; it returns what is called with the progress. Not
            called where nothing may be downloaded.

    Returns:
        The model's directory.

    Raises:
        ModelError: there is no such model, or it cannot be pulled.
    """
    published = catalogue().get(model)
    if published is None or Path(model).is_dir() or (cache / model).is_dir():
        try:
            return find_model(model, cache)
        except ModelError as error:
            raise ModelError(f"{error}{_suggestion(model, cache)}") from error
        except OSError as error:
            # Too long for a name of a file, say.
            raise ModelError(
                f"{model[:SHOWN]!r} is neither a directory nor a model's name: {error.strerror}"
            ) from error
    progress = unwatched if settings.offline else announce(published)
    return pull(published, cache, settings, progress).directory


def _suggestion(model: str, cache: Path) -> str:
    file = Path(model).name
    published = file.removesuffix("_infer.tar").removesuffix("_pretrained.pdparams")
    if published != file and published in catalogue():
        return f"; or use the published model by its name, {published}"
    if advise(model) is not None:
        return ""
    if (near := near_directory(model)) is not None:
        return f"; did you mean the directory {near}?"
    names = nearest_names(model, others=others_here(cache))
    if not names:
        return "; `classify-worker models list` shows the models that can be pulled by name"
    return f"; did you mean {' or '.join(names)}?"
