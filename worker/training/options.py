"""What a training was asked for, and the `config.yaml` that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from worker.cache import write_whole
from worker.errors import TrainingError
from worker.training.phases import HEAD, NETWORK, Phase

__all__ = ["CONFIG", "Options", "read_options"]

CONFIG = "config.yaml"

_COMMENT = "# What `classify-worker train` was asked for; `--resume` goes on with the same.\n"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a training; those that are None have the defaults of `phases`.

    With `unfreeze`, epochs, batch size and learning rate are those of the whole network.

    Attributes:
        data: the data set, as it was given.
        model: a name, or a directory.
        device: None is the first GPU, else the CPU.
        name: of the model that is made; None is that of `model`.
    """

    data: str
    model: str
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    unfreeze: bool = False
    device: str | None = None
    seed: int = 0
    name: str | None = None

    def phases(self) -> tuple[Phase, ...]:
        """What is trained, in order.

        Returns:
            The head, and with `unfreeze` the whole network after it.
        """
        phases = (HEAD, NETWORK) if self.unfreeze else (HEAD,)
        last = replace(
            phases[-1],
            epochs=self.epochs or phases[-1].epochs,
            batch_size=self.batch_size or phases[-1].batch_size,
            learning_rate=self.learning_rate or phases[-1].learning_rate,
        )
        return (*phases[:-1], last)

    def write(self, output: Path) -> None:
        """Write `config.yaml`."""
        text = _COMMENT + yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True)
        write_whole(output / CONFIG, text.encode())


def read_options(output: Path, given: Mapping[str, object]) -> Options:
    """Read the options of the training that is to be resumed.

    Args:
        output: where it writes.
        given: options that were given now, by name.

    Returns:
        The options that it began with.

    Raises:
        TrainingError: there is none, or an option that was given is another one.
    """
    path = output / CONFIG
    try:
        read: Any = yaml.safe_load(path.read_text("utf-8"))
        known = {field.name for field in fields(Options)}
        options = Options(**{name: read[name] for name in known if name in read})
    except FileNotFoundError as error:
        raise TrainingError(
            f"{output} holds no training that could be resumed: leave --resume out"
        ) from error
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    for name, value in given.items():
        began = getattr(options, name)
        if value != began:
            option = "--" + name.replace("_", "-")
            raise TrainingError(
                f"{output} was begun with {option} {began}, and is resumed with {value}: leave "
                f"{option} out, or train into another directory"
            )
    return options
