"""The image answers jobs under the restrictions of a hardened platform, and ends in order."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from demo.broker import KafkaBroker
from tests.support.containers import HARDENED, ContainerWorker, docker, random_user
from tests.support.harness import Traffic, until
from tests.support.images import job, noise_jpeg
from tests.support.zoo_host import Host, make_archive

MakeContainer = Callable[..., ContainerWorker]

NAME, OTHER = "PP-LCNet_x0_25", "PP-LCNet_x0_35"
JOBS = [job(noise_jpeg(seed), visualize=False) for seed in range(40)]
CACHE = "/var/cache/classify-worker"

OWNERS = ("-type", "f", "-printf", "%U\\n")

LOOK_AROUND = r"""
import json, os, re
from importlib.util import find_spec
UNWANTED = re.compile(r"\.(h|hpp|a|pyi|whl)$|^(pip|demo|tests|hatchling)$")
unwanted, writable = [], []
for root, directories, files in os.walk("/"):
    if root == "/":
        directories[:] = set(directories) - {"proc", "sys", "dev"}
    if os.access(root, os.W_OK):
        writable.append(root)
    if root.startswith("/opt/classify-worker/lib/"):
        names = directories + files
        unwanted += [os.path.join(root, name) for name in names if UNWANTED.search(name)]
    elif root.endswith("-packages") and "pip" in directories:
        unwanted.append(os.path.join(root, "pip"))
# A module of the standard library that nothing imports while the image is built.
compiled = os.path.exists(find_spec("wave").cached)
print(json.dumps({"unwanted": unwanted, "writable": sorted(writable), "compiled": compiled}))
"""


@pytest.fixture
def archives(quick_model: Path) -> dict[str, bytes]:
    """Two models, as their host has them."""
    content = {file.name: file.read_bytes() for file in quick_model.iterdir()}
    return {f"/{name}_infer.tar": make_archive(name, content) for name in (NAME, OTHER)}


async def test_two_users_share_a_cache_and_answer_all_jobs(
    broker: KafkaBroker,
    traffic: Traffic,
    make_container: MakeContainer,
    archives: dict[str, bytes],
    image: str,
    cache_volume: str,
) -> None:
    await traffic.create_topics(partitions=4)
    with Host(archives) as host:
        environ = {
            "WORKER_MODEL": NAME,
            "WORKER_ZOO__BASE_URL": host.url,
            # The check of its answers is kept in the cache, for the other one as well.
            "WORKER_PREDICTOR__BACKEND": "auto",
            "WORKER_BATCHING__MAX_BATCH": "0",
        }
        workers = [
            make_container(broker.bootstrap_servers, traffic.names, **environ) for _ in range(2)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            await asyncio.to_thread(worker.wait_until_ready)
            await asyncio.to_thread(
                worker.wait_for_value, "classify_assigned_partitions", lambda held: held == 2
            )
        assert len(host.requests) == 1, "one pulled the model, and the other found it"
        # Into directories, locks and lists that another user has made.
        user = random_user()
        volume = f"{cache_volume}:{CACHE}"
        run = ["run", "--rm", "--network", "host", *HARDENED, "--user", user, "--volume", volume]
        pull = ["models", "pull", OTHER, "--base-url", host.url]
        await asyncio.to_thread(docker, *run, image, *pull)
    ids = [await traffic.send(value, partition=n % 4) for n, value in enumerate(JOBS)]
    results = await traffic.results(ids)
    assert {len(answers) for answers in results.values()} == {1}
    assert {answers[0].body["errorCode"] for answers in results.values()} == {0}
    for worker in workers:
        assert worker.value("classify_jobs_total", outcome="success") == 20
        await asyncio.to_thread(until, partial(_healthy, worker), "the image's check is good")
    kept = await asyncio.to_thread(docker, *run, "--entrypoint", "find", image, CACHE, *OWNERS)
    assert len(set(kept.split()) - {"10001"}) >= 2, "more than one of them wrote there"


async def test_a_signal_to_process_1_drains_and_ends_with_0(
    broker: KafkaBroker, traffic: Traffic, make_container: MakeContainer
) -> None:
    await traffic.create_topics(partitions=2)
    environ = {
        "WORKER_FAILPOINTS": "predictor.slow=0.2",
        "WORKER_INTAKE__MAX_JOBS": "32",
        # Only the last commit counts.
        "WORKER_KAFKA__COMMIT_INTERVAL": "60",
    }
    worker = make_container(broker.bootstrap_servers, traffic.names, **environ).start()
    await asyncio.to_thread(worker.wait_until_ready)
    ids = await traffic.send_all(JOBS * 3)
    await asyncio.to_thread(
        worker.wait_for_value, "classify_jobs_total", lambda done: done >= 30, outcome="success"
    )
    await asyncio.to_thread(worker.signal, signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait, 40) == 0
    assert [entry["abandoned_jobs"] for entry in worker.events("drained")] == [0]
    done = await traffic.all_results()
    assert 30 <= len(done) < len(ids), "the signal came during the jobs"
    assert sum((await traffic.committed()).values()) == len(done)


async def test_the_kernels_timer_can_end_it(
    broker: KafkaBroker, traffic: Traffic, make_container: MakeContainer
) -> None:
    """It ends a worker in which no thread runs any more. For process 1 the kernel drops it."""
    await traffic.create_topics()
    worker = make_container(broker.bootstrap_servers, traffic.names).start()
    await asyncio.to_thread(worker.wait_until_ready)
    send = "kill -ALRM $(cat /proc/1/task/1/children)"
    await asyncio.to_thread(docker, "exec", worker.name, "sh", "-c", send)
    assert await asyncio.to_thread(worker.wait) == 128 + signal.SIGALRM


def test_nothing_is_in_it_but_what_runs(image: str) -> None:
    (found,) = json.loads(docker("image", "inspect", image))
    assert found["Size"] < 1_200_000_000
    assert found["Config"]["User"] == "10001:0"
    labels = found["Config"]["Labels"]
    for label in ("title", "description", "licenses", "version", "revision", "created"):
        assert labels[f"org.opencontainers.image.{label}"], label
    run = ["run", "--rm", "--network", "none", *HARDENED, "--user", random_user()]
    seen = json.loads(docker(*run, "--entrypoint", "python", image, "-c", LOOK_AROUND))
    writable = ["/tmp", CACHE]  # noqa: S108 - in the container
    assert seen == {"unwanted": [], "writable": writable, "compiled": True}


def _healthy(worker: ContainerWorker) -> bool:
    return worker.health() == "healthy"
