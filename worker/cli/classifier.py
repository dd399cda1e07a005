"""Loads the model of a command that classifies on this machine, and shows what that takes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from worker.cli.transfer import Transfer
from worker.predict import ImageClassificationPipeline

if TYPE_CHECKING:
    from worker.cli.status import Status
    from worker.predict import PipelineConfig
    from worker.settings import Settings
    from worker.zoo.catalogue import ZooModel
    from worker.zoo.download import Progress

__all__ = ["load_classifier"]


def load_classifier(
    chosen: PipelineConfig, settings: Settings, status: Status
) -> ImageClassificationPipeline:
    """Load a model; a download has a bar.

    Args:
        status: is shown meanwhile; it says what the selection of the backend is doing.

    Returns:
        The pipeline; see `ImageClassificationPipeline` for what it raises.
    """
    with ExitStack() as shown:

        def announce(model: ZooModel) -> Progress:
            status.end()  # its line and the progress bar's would overwrite each other
            return shown.enter_context(Transfer(1)).of(model.name)

        def selecting(step: str) -> None:
            status.say(f"{step}, once per model and machine" if step else "starting to compute")

        return ImageClassificationPipeline(chosen, announce, settings, selecting)
