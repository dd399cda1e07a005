"""The chart's pod, run by podman: it answers jobs as restricted as on Kubernetes, and drains."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.broker import KafkaBroker
from demo.ports import free_ports
from tests.support.harness import Names, Traffic, until
from tests.support.images import job, noise_jpeg
from tests.support.kubernetes_tools import fetch_tools
from tests.support.podman import Podman, for_podman
from worker.cli.health_request import ask

CONTAINER = "classify-worker-pod-0-worker"
JOBS = [job(noise_jpeg(seed), visualize=False) for seed in range(40)]


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Podman]:
    with Podman(tmp_path) as running:
        yield running


def rendered(broker: KafkaBroker, names: Names, image: str, port: int) -> list[dict[str, Any]]:
    """The chart's ConfigMap and Deployment, for a broker and a port on this machine."""
    repository, _, tag = image.rpartition(":")
    objects = fetch_tools().render(
        f'image={{"repository": "{repository}", "tag": "{tag}"}}',
        "replicas=1",
        'model.volume={"persistentVolumeClaim": {"claimName": "models", "readOnly": true}}',
        'config.model_dir="/models/quick"',
        f'config.kafka.bootstrap_servers="{broker.bootstrap_servers}"',
        f'config.kafka.jobs_topic="{names.jobs}"',
        f'config.kafka.results_topic="{names.results}"',
        f'config.kafka.dead_letters_topic="{names.dead_letters}"',
        f'config.kafka.group_id="{names.group}"',
        f'config.http={{"host": "127.0.0.1", "port": {port}}}',
        'config.predictor={"backend": "paddle", "slots": 1, "threads": 1}',
        "config.batching.max_batch=8",
    )
    config, deployment = (
        next(each for each in objects if each["kind"] == kind)
        for kind in ("ConfigMap", "Deployment")
    )
    deployment["spec"]["template"] = for_podman(deployment["spec"]["template"])
    return [config, deployment]


@pytest.mark.timeout(600)  # an image of more than a gigabyte is copied
async def test_the_pod_answers_jobs_and_drains(
    broker: KafkaBroker,
    traffic: Traffic,
    image: str,
    podman: Podman,
    quick_model: Path,
    tmp_path: Path,
) -> None:
    await traffic.create_topics(partitions=2)
    await asyncio.to_thread(podman.copy_from_docker, image)
    models = await asyncio.to_thread(podman.volume, "models")
    shutil.copytree(quick_model, models / "quick")
    (port,) = free_ports(1)
    objects = rendered(broker, traffic.names, image, port)
    manifests = tmp_path / "manifests.yaml"
    manifests.write_text(yaml.safe_dump_all(objects), "utf-8")
    await asyncio.to_thread(podman, "play", "kube", "--network", "host", manifests)

    await asyncio.to_thread(until, lambda: ready(podman, port), "the pod is ready")
    ids = await traffic.send_all(JOBS)
    results = await traffic.results(ids)
    assert {answers[0].body["errorCode"] for answers in results.values()} == {0}

    running = await asyncio.to_thread(podman.inspect, CONTAINER)
    pod = objects[1]["spec"]["template"]["spec"]
    host = running["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["Memory"] == 4 << 30
    assert "no-new-privileges" in host["SecurityOpt"]
    assert not running["EffectiveCaps"]
    assert running["Config"]["User"] == "10001:0"

    grace = pod["terminationGracePeriodSeconds"]
    await asyncio.to_thread(podman, "stop", "--time", str(grace), CONTAINER)
    assert (await asyncio.to_thread(podman.inspect, CONTAINER))["State"]["ExitCode"] == 0
    assert sum((await traffic.committed()).values()) == len(ids)


def ready(podman: Podman, port: int) -> bool:
    """Whether it is; it must run meanwhile."""
    assert podman("inspect", "--format", "{{.State.Running}}", CONTAINER) == "true", podman(
        "logs", CONTAINER
    )
    return ask("127.0.0.1", port, ready=True, timeout=5.0)[0]
