"""What tests share: one real Kafka broker and one real model for the whole run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, settings

from demo.broker import KafkaBroker
from demo.jars import fetch_jars
from demo.model import prepare_model
from worker.cache import cache_directory
from worker.model import ModelSpec, load_model_spec

# How long an example takes is the machine's doing. In continuous integration hypothesis' own
# profile, on which this one builds, moreover draws the same examples in every run.
settings.register_profile(
    "any-machine",
    settings.get_profile(settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any-machine")


# Where a run in the background, or nohup, has these ignored, all processes that tests start would
# ignore them too. A handler, even one that does nothing, is not inherited.
for ignored in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, lambda *_: None)


@pytest.fixture(scope="session")
def kafka_jars() -> list[Path]:
    """The broker's class path, downloaded on a machine's first run."""
    return fetch_jars(cache_directory() / "kafka")


@pytest.fixture(scope="session")
def broker(
    kafka_jars: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaBroker]:
    """The run's broker: use topics and groups of your own, and leave it running as it is."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka"), kafka_jars) as running:
        yield running


@pytest.fixture
def make_broker(kafka_jars: list[Path], tmp_path: Path) -> Iterator[Callable[..., KafkaBroker]]:
    """Makes brokers (not started) that the test may stop, kill or pause; all are gone after it."""
    with ExitStack() as cleanup:

        def make(name: str = "kafka", **options: object) -> KafkaBroker:
            made = KafkaBroker(tmp_path / name, kafka_jars, **options)  # type: ignore[arg-type]
            cleanup.callback(made.kill)
            return made

        yield make


@pytest.fixture(scope="session")
def model_dir() -> Path:
    """EfficientNet-Lite0 in Paddle's inference format, converted on a machine's first run."""
    return prepare_model(cache_directory())


@pytest.fixture(scope="session")
def spec(model_dir: Path) -> ModelSpec:
    """The run's model, as it describes itself."""
    return load_model_spec(model_dir)


@pytest.fixture(scope="session")
def crops() -> list[npt.NDArray[np.uint8]]:
    """Four crops of noise in the size of the run's model."""
    return list(np.random.default_rng(7).integers(0, 256, (4, 224, 224, 3), np.uint8))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In continuous integration a skipped test is a failed one, unless it lacked a GPU."""
    report = yield
    expected = hasattr(report, "wasxfail") or item.get_closest_marker("gpu") is not None
    if report.skipped and not expected:
        _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """In continuous integration a module that skips itself is a failed one."""
    report = yield
    if report.skipped:
        _forbid_skip(report)
    return report


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure here: {report.longrepr}"
