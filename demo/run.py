"""The demo from beginning to end: everything is started, shown, checked and stopped here."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from demo.broker import KafkaBroker
from demo.errors import DemoError
from demo.expectations import expectations, problems
from demo.figures import read_figures
from demo.images import photographs
from demo.jars import fetch_jars
from demo.jobs import submit_all
from demo.logged_process import log_end
from demo.model import MODEL_NAME, prepare_model
from demo.show import bar, show_answers, show_figures, show_running
from demo.worker_process import WorkerProcess
from worker.cache import cache_directory
from worker.kafka.topics import ensure_topics
from worker.settings import Settings
from worker.settings.sources import load

__all__ = ["run_demo"]

READY_SECONDS = 180.0
STOP_SECONDS = 40.0
WATCH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Running:
    broker: KafkaBroker
    worker: WorkerProcess
    settings: Settings


def run_demo(out: Path, console: Console, *, keep: bool) -> None:
    """Run it, and return if every expected label and the expected error came back.

    Args:
        out: directory for pictures and the worker's log; made if it is missing.
        keep: leave everything running until Ctrl-C.

    Raises:
        WorkerError: something could not be fetched, started, reached or stopped, or an answer is
            not as expected.
    """
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        running = _start(stack, out, console)
        expected = expectations(out)
        pictures = out / "pictures"
        answers, seconds = submit_all(expected, running.settings, pictures, console)
        show_answers(console, answers, pictures)
        figures = read_figures(running.worker.metrics())
        show_figures(console, figures, seconds)
        wrong = problems(expected, answers)
        if figures.jobs < len(expected):
            wrong.append(f"/metrics counts {figures.jobs} jobs of {len(expected)}")
        if wrong:
            log = running.worker.log_path
            raise DemoError("\n".join((*wrong, f"{log} ends so:", log_end(log))))
        if keep:
            example = photographs()[0].path
            show_running(console, running.settings, running.worker.url, out, example)
            _wait_for_interrupt(running)
        with _step(console, "Stopping the worker and Kafka"):
            running.worker.stop(STOP_SECONDS)
            running.broker.stop()
    console.print(f"All {len(expected)} answers are as expected.", style="green")


def _start(stack: ExitStack, out: Path, console: Console) -> _Running:
    cache = cache_directory()
    with bar(console, "Kafka's jars") as progress:
        jars = fetch_jars(cache / "kafka", progress=progress)
    with _step(console, f"Preparing {MODEL_NAME}, trained on ImageNet-1k"):
        model = prepare_model(cache)
    console.print(f"It is in {model}", markup=False, highlight=False, soft_wrap=True)
    data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="classify-worker-demo-")))
    with _step(console, "Starting Apache Kafka"):
        broker = stack.enter_context(KafkaBroker(data / "kafka", jars))
    environment = {
        "WORKER_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "WORKER_KAFKA__CREATE_TOPICS": "true",
        "WORKER_MODEL": str(model),
        # Image URLs may reach public addresses only, unless they are listed here.
        "WORKER_FETCH__ALLOW_NETWORKS": "127.0.0.1/32",
        "WORKER_LOG__FORMAT": "console",
    }
    settings = load(None, (), environment).settings
    kafka = settings.kafka
    topics = (kafka.jobs_topic, kafka.results_topic, kafka.dead_letters_topic)
    with _step(console, f"Creating the topics {', '.join(topics)}"):
        asyncio.run(ensure_topics(kafka, topics))
    worker = WorkerProcess(environment, out / "worker.log")
    with _step(console, "Starting the worker"):
        stack.enter_context(worker)
        worker.wait_until_ready(READY_SECONDS)
    return _Running(broker, worker, settings)


@contextmanager
def _step(console: Console, what: str) -> Iterator[None]:
    began = time.monotonic()
    with console.status(f"{what} ..."):
        yield
    console.print(f"{what}: {time.monotonic() - began:.1f} s", markup=False, highlight=False)


def _wait_for_interrupt(running: _Running) -> None:
    """Return at Ctrl-C.

    Raises:
        DemoError: the worker or the broker ended by itself.
    """
    try:
        while running.worker.running and running.broker.running:
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return
    if not running.worker.running:
        raise running.worker.failed("ended by itself")
    raise DemoError(f"Kafka ended by itself; its log ends so:\n{log_end(running.broker.log_path)}")
