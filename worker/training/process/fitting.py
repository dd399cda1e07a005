"""The loop: steps, epochs, the best weights, and stopping in between without a loss."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from worker.errors import TrainingError
from worker.training.arrays import Arrays
from worker.training.phases import Phase, learning_rate
from worker.training.process.rows import Indices, Rows, batches
from worker.training.process.serving import Owner
from worker.training.process.state import Best, State
from worker.training.process.subjects import Subject

__all__ = ["Fitting", "StoppedError", "evaluate"]

SAY_EVERY = 0.1
"""Seconds between two messages about the progress."""

SAVE_EVERY = 60.0
"""Seconds of work that a crash costs at most; a signal costs none."""

EVALUATED = 8
"""Images at a time that are evaluated."""


class StoppedError(Exception):
    """The owner wants an end; the state is saved."""


class Fitting:
    """Trains one subject for one phase.

    Args:
        state: where the training is; it is kept up to date.
        directory: where the state is saved.
        probe: rows whose scores are kept with the best weights.
    """

    def __init__(
        self,
        phase: Phase,
        subject: Subject,
        rows: Rows,
        state: State,
        *,
        directory: Path,
        probe: Indices,
        seed: int,
        owner: Owner,
    ) -> None:
        self._phase = phase
        self._subject = subject
        self._rows = rows
        self._state = state
        self._directory = directory
        self._probe = probe
        self._seed = seed
        self._owner = owner
        self._train, self._val = rows.of("train"), rows.of("val")
        if not len(self._val):
            # All of them turned out to be unreadable, or each class has a single image.
            self._val = self._train
        self._steps = math.ceil(len(self._train) / phase.batch_size)
        self._said = self._saved = time.monotonic()
        self._optimizer = paddle.optimizer.AdamW(
            learning_rate=phase.learning_rate,
            parameters=subject.parameters,
            weight_decay=phase.weight_decay,
            grad_clip=paddle.nn.ClipGradByGlobalNorm(phase.clip),
        )
        self._restore()

    def run(self) -> None:
        """Train to the end of the phase.

        Raises:
            StoppedError: the owner wants an end.
            TrainingError: the loss is no number any more.
        """
        state, phase = self._state, self._phase
        while state.epoch < phase.epochs:
            began = time.monotonic()
            random = np.random.default_rng([self._seed, 2, state.phase, state.epoch])
            order = random.permutation(self._train)
            for batch in list(batches(order, phase.batch_size))[state.step :]:
                self._step(batch)
                state.step += 1
                self._say()
                if self._owner.stopping():
                    self._save()
                    raise StoppedError
                self._save_now_and_then()
            self._end_epoch(time.monotonic() - began)

    def _step(self, batch: Indices) -> None:
        state, phase = self._state, self._phase
        at = state.epoch * self._steps + state.step
        self._optimizer.set_lr(learning_rate(phase, at, self._steps * phase.epochs))
        targets = paddle.to_tensor(self._rows.targets[batch])
        logits = self._subject.train_logits(batch)
        loss = paddle.nn.functional.cross_entropy(logits, targets)
        value = float(loss)
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss of epoch {state.epoch + 1} is {value}: use a smaller --learning-rate"
            )
        loss.backward()
        self._optimizer.step()
        self._optimizer.clear_grad()
        state.loss += value * len(batch)
        state.right += _right(logits, self._rows.targets[batch])
        state.seen += len(batch)

    def _end_epoch(self, seconds: float) -> None:
        state, phase = self._state, self._phase
        loss, top1 = evaluate(self._subject, self._rows, self._val)
        found = Best(phase.name, state.epoch + 1, loss, top1)
        entry = {
            "phase": phase.name,
            "epoch": found.epoch,
            "loss": state.loss / state.seen,
            "top1": state.right / state.seen,
            "val_loss": loss,
            "val_top1": top1,
        }
        state.history.append(entry)
        if found.is_better_than(state.best_of_phase):
            state.best_of_phase = found
        if found.is_better_than(state.best):
            state.best = found
            state.best_weights = {**self._subject.arrays(), "scores": self._scores()}
        state.epoch, state.step = state.epoch + 1, 0
        state.loss, state.right, state.seen = 0.0, 0, 0
        self._owner.say(done={**entry, "seconds": round(seconds, 3)}, epochs=phase.epochs)
        self._save_now_and_then()

    def _scores(self) -> Any:  # noqa: ANN401 - an array
        return paddle.nn.functional.softmax(self._subject.logits(self._probe)).numpy()

    def _say(self) -> None:
        if time.monotonic() - self._said < SAY_EVERY:
            return
        self._said = time.monotonic()
        state, phase = self._state, self._phase
        self._owner.say(
            phase=phase.name,
            epoch=state.epoch + 1,
            epochs=phase.epochs,
            step=state.step,
            steps=self._steps,
            loss=state.loss / state.seen,
            top1=state.right / state.seen,
        )

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved > SAVE_EVERY:
            self._save()

    def _save(self) -> None:
        now: Arrays = {}
        kept = self._optimizer.state_dict()
        for place, parameter in enumerate(self._subject.parameters):
            now[f"{place}"] = parameter.numpy()
            # By places: names are others in the next process. What follows a weight's own name
            # begins with a letter; with a digit it is the name of another weight.
            prefix = f"{parameter.name}_"
            for name, value in kept.items():
                rest = name.removeprefix(prefix)
                if rest != name and rest[0].isalpha():
                    now[f"{place}.{rest}"] = value.numpy()
        self._state.now = now
        self._state.save(self._directory)
        self._saved = time.monotonic()

    def _restore(self) -> None:
        now = self._state.now
        kept: dict[str, Any] = {}
        for place, parameter in enumerate(self._subject.parameters):
            if f"{place}" in now:
                parameter.set_value(now[f"{place}"])
            for name, array in now.items():
                if name.startswith(f"{place}."):
                    _, _, rest = name.partition(".")
                    kept[f"{parameter.name}_{rest}"] = paddle.to_tensor(array)
        if kept:
            self._optimizer.set_state_dict(kept)


def evaluate(
    subject: Subject, rows: Rows, chosen: Indices, seen: Callable[[int], object] = lambda _: None
) -> tuple[float, float]:
    """Answer images, and compare.

    Returns:
        The mean cross-entropy, and the share of right answers.
    """
    loss, right = 0.0, 0
    for batch in batches(chosen, EVALUATED):
        logits = subject.logits(batch)
        targets = paddle.to_tensor(rows.targets[batch])
        loss += float(paddle.nn.functional.cross_entropy(logits, targets)) * len(batch)
        right += _right(logits, rows.targets[batch])
        seen(len(batch))
    return loss / len(chosen), right / len(chosen)


def _right(logits: Any, targets: Indices) -> int:  # noqa: ANN401 - Paddle's tensor
    return int((logits.numpy().argmax(axis=1) == targets).sum())
