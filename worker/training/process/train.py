"""The trainer: features first, then the head, then the whole network if that is wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from worker.device import Device
from worker.model import Normalize
from worker.predictor.backends.devices import check_device, import_paddle, probe_build
from worker.training.names import READ
from worker.training.phases import Phase
from worker.training.process.rows import Rows
from worker.training.process.serving import Owner, Request, serve
from worker.training.process.state import State

if TYPE_CHECKING:
    from worker.training.process.network import Network
    from worker.training.process.subjects import Subject

__all__ = ["main"]


def main() -> None:
    """Answer `begin`, `features` and `train`."""
    trainer = _Trainer()
    serve(trainer.answer)


class _Trainer:
    def answer(self, request: Request, owner: Owner) -> Mapping[str, object]:
        """Do what the request says."""
        match request["do"]:
            case "begin":
                return self._begin(request, owner)
            case "features":
                return self._compute_features(request["start"], request["stop"])
            case "train":
                return self._train(request["probe"], owner)
            case other:
                return {"is": "nothing to stop", "do": other}

    def _begin(self, request: Request, owner: Owner) -> Mapping[str, object]:
        device = Device.parse(request["device"])
        paddle = import_paddle(device)
        check_device(device, probe_build(paddle))
        paddle.set_device(str(device))
        paddle.seed(request["seed"])
        # It needs the environment that `import_paddle` makes.
        from worker.training.process.network import Network  # noqa: PLC0415

        self._directory = Path(request["directory"])
        self._seed: int = request["seed"]
        self._classes: int = request["classes"]
        self._phases = [Phase(**each) for each in request["phases"]]
        self._network: Network = Network(
            Path(request["backbone"]), request["features"], self._classes
        )
        scale, mean, std = request["normalize"]
        self._rows = Rows(
            self._directory,
            request["features"],
            owner.descriptor,
            request["cells"],
            (request["height"], request["width"]),
            Normalize(scale, tuple(mean), tuple(std)),
        )
        return {"is": "ready"}

    def _compute_features(self, start: int, stop: int) -> Mapping[str, object]:
        rows = np.arange(start, stop)
        features = self._network.features(self._rows.tensors(rows)).numpy()
        self._rows.features[start:stop] = features.reshape(len(rows), -1)
        self._rows.flush()
        return {"is": "computed"}

    def _train(self, probe: list[int], owner: Owner) -> Mapping[str, object]:
        from worker.training.process.fitting import Fitting, StoppedError  # noqa: PLC0415

        read = json.loads((self._directory / READ).read_text("utf-8"))
        self._rows.skip(each["row"] for each in read["skipped"])
        state = State.load(self._directory)
        while state.phase < len(self._phases):
            phase = self._phases[state.phase]
            subject = self._subject(phase, state)
            if "before" not in state.results:
                state.results["before"] = self._judge(subject)
            fitting = Fitting(
                phase,
                subject,
                self._rows,
                state,
                directory=self._directory,
                probe=np.array(probe, np.int64),
                seed=self._seed,
                owner=owner,
            )
            try:
                fitting.run()
            except StoppedError:
                return {"is": "stopped"}
            self._end_phase(phase, subject, state)
        return {"is": "trained"}

    def _subject(self, phase: Phase, state: State) -> Subject:
        from worker.training.process.subjects import Head, WholeNetwork  # noqa: PLC0415

        if phase.name == "head":
            return Head(self._rows, self._classes, self._seed)
        # The best head so far; the backbone is as it came.
        self._network.restore(state.best_weights)
        return WholeNetwork(self._rows, self._network)

    def _end_phase(self, phase: Phase, subject: Subject, state: State) -> None:
        best = state.best_of_phase
        assert best is not None
        result: dict[str, Any] = {
            "epoch": best.epoch,
            "val_loss": best.loss,
            "val_top1": best.top1,
            # Of the whole network it may be worse than the head alone.
            "is_best": best == state.best,
        }
        if best == state.best:
            subject.restore(state.best_weights)
            result |= self._test(subject)
        state.results[phase.name] = result
        state.phase, state.epoch, state.now, state.best_of_phase = state.phase + 1, 0, {}, None
        state.save(self._directory)

    def _judge(self, subject: Subject) -> dict[str, float]:
        """How good the new head is before it has learned anything."""
        from worker.training.process.fitting import evaluate  # noqa: PLC0415

        chosen = self._rows.of("val")
        found: dict[str, float] = {}
        if len(chosen):
            found["val_loss"], found["val_top1"] = evaluate(subject, self._rows, chosen)
        return found | self._test(subject)

    def _test(self, subject: Subject) -> dict[str, float]:
        from worker.training.process.fitting import evaluate  # noqa: PLC0415

        chosen = self._rows.of("test")
        if not len(chosen):
            return {}
        loss, top1 = evaluate(subject, self._rows, chosen)
        return {"test_loss": loss, "test_top1": top1}
