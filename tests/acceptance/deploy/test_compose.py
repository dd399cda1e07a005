"""deploy/compose is brought up as it is, but on the host's network.

In an engine that was started for the tests, stand-ins replace the images that it cannot pull.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from demo.ports import free_ports
from tests.support.containers import docker
from tests.support.harness import until
from tests.support.http_client import ask
from tests.support.paths import ROOT
from tests.support.stand_ins import kafka_stand_in, prometheus_stand_in
from worker.settings import Settings

COMPOSE = ROOT / "deploy" / "compose"
SERVICES = ("images", "worker", "other", "prometheus")
JOBS = 200

# Two services of one replica each, since two workers cannot have one port of the host's.
OVERRIDE = """
services:
  kafka:
    network_mode: host
    ports: !reset []
    environment:
      KAFKA_CONTROLLER_QUORUM_VOTERS: 1@127.0.0.1:{controller}
      KAFKA_LISTENERS: PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
      KAFKA_ADVERTISED_LISTENERS: PLAINTEXT://127.0.0.1:{broker}
    healthcheck:
      test: [CMD, /opt/kafka/bin/kafka-topics.sh, --bootstrap-server, "127.0.0.1:{broker}", --list]
  topics:
    network_mode: host
    environment:
      BOOTSTRAP_SERVERS: 127.0.0.1:{broker}
  images:
    network_mode: host
    command: !override ["{images}", --bind, 127.0.0.1]
    healthcheck:
      test: [CMD, python, -c, "import socket; socket.create_connection(('127.0.0.1', {images}), 3)"]
  worker: &worker
    network_mode: host
    environment: &settings
      WORKER_KAFKA__BOOTSTRAP_SERVERS: 127.0.0.1:{broker}
      WORKER_MODEL: /models/quick
      WORKER_FETCH__ALLOW_NETWORKS: 127.0.0.1/32
      WORKER_HTTP__HOST: 127.0.0.1
      WORKER_HTTP__PORT: "{worker}"
      WORKER_PREDICTOR__BACKEND: paddle
      WORKER_BATCHING__MAX_BATCH: "8"
      # So slow that it is killed well before its jobs are done, and soon missed.
      WORKER_FAILPOINTS: predictor.slow=1
      WORKER_KAFKA__SESSION_TIMEOUT: "6"
      WORKER_KAFKA__HEARTBEAT_INTERVAL: "1"
    volumes: ["{model}:/models/quick:ro"]
    deploy:
      replicas: 1
  other:
    <<: *worker
    extends:
      file: {compose}
      service: worker
    depends_on:
      topics: {{condition: service_completed_successfully}}
    environment:
      <<: *settings
      WORKER_HTTP__PORT: "{other}"
  prometheus:
    network_mode: host
    ports: !reset []
    command: !override
      - --config.file=/etc/prometheus/prometheus.yml
      - --storage.tsdb.path=/prometheus
      - --web.listen-address=127.0.0.1:{prometheus}
    volumes: ["{configuration}:/etc/prometheus/prometheus.yml:ro"]
  load:
    network_mode: host
    environment:
      WORKER_KAFKA__BOOTSTRAP_SERVERS: 127.0.0.1:{broker}
      IMAGES_AT: http://127.0.0.1:{images}
      JOBS: "{jobs}"
      TIMEOUT: "120"
"""


@dataclass(frozen=True)
class Project:
    """What was brought up."""

    name: str
    image: str
    files: tuple[Path, ...]
    ports: dict[str, int]

    def compose(self, *arguments: str, timeout: float = 240) -> str:
        """What a command of `docker compose` prints; it must succeed."""
        files = [option for path in self.files for option in ("--file", str(path))]
        tool = str(ROOT / ".venv-deploy/bin/docker-compose")
        command = [tool, "--project-name", self.name, *files]
        done = subprocess.run(
            [*command, *arguments],
            env={**os.environ, "WORKER_IMAGE": self.image},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def ask_prometheus(self, path: str) -> dict[str, Any]:
        address = f"http://127.0.0.1:{self.ports['prometheus']}/api/v1/{path}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
        return data

    def done(self, service: str) -> float:
        """How many jobs a worker has answered."""
        text = ask(self.ports[service], "GET", "/metrics").body.decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "classify_jobs_total" and sample.labels["outcome"] == "success"
        )


@pytest.fixture
def project(
    image: str, kafka_jars: list[Path], quick_model: Path, tmp_path: Path
) -> Iterator[Project]:
    names = ("broker", "controller", "images", "worker", "other", "prometheus")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    services = yaml.safe_load((COMPOSE / "compose.yaml").read_text("utf-8"))["services"]
    for name in ("kafka", "prometheus"):
        (tmp_path / name).mkdir()
    kafka_stand_in(services["kafka"]["image"], kafka_jars, tmp_path / "kafka")
    prometheus_stand_in(services["prometheus"]["image"], tmp_path / "prometheus")
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(scraping(ports), "utf-8")
    override = tmp_path / "override.yaml"
    compose = COMPOSE / "compose.yaml"
    given = {"model": quick_model, "configuration": configuration, "compose": compose}
    override.write_text(OVERRIDE.format(**ports, **given, jobs=JOBS), "utf-8")
    made = Project(f"test-{uuid.uuid4().hex[:12]}", image, (compose, override), ports)
    try:
        yield made
    finally:
        made.compose("--profile", "load", "down", "--volumes", "--timeout", "10")


def scraping(ports: dict[str, int]) -> str:
    """Prometheus' configuration, with addresses where it asks for names, and quicker."""
    document = yaml.safe_load((COMPOSE / "prometheus.yml").read_text("utf-8"))
    document["global"]["scrape_interval"] = "1s"
    workers, itself = document["scrape_configs"]
    assert workers.pop("dns_sd_configs")[0]["names"] == ["worker"]
    replicas = [f"127.0.0.1:{ports[service]}" for service in ("worker", "other")]
    workers["static_configs"] = [{"targets": replicas}]
    itself["static_configs"] = [{"targets": [f"127.0.0.1:{ports['prometheus']}"]}]
    text: str = yaml.safe_dump(document)
    return text


def topics(project: Project) -> dict[str, tuple[int, int]]:
    """Partitions and days of retention of each topic; the rest is the same for all."""
    servers = f"127.0.0.1:{project.ports['broker']}"
    tool = ("/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", servers, "--describe")
    described = project.compose("exec", "-T", "kafka", *tool)
    found = {}
    for topic, partitions, configs in re.findall(
        r"^Topic: (image\S+)\s.*PartitionCount: (\d+)\s.*Configs: (\S+)", described, re.MULTILINE
    ):
        values = dict(pair.split("=") for pair in configs.split(","))
        assert values["cleanup.policy"] == "delete"
        assert int(values["max.message.bytes"]) == Settings().publish.max_request_bytes
        found[topic] = (int(partitions), int(values["retention.ms"]) // (24 * 3600 * 1000))
    return found


def all_up(project: Project) -> bool:
    try:
        targets = project.ask_prometheus("targets?state=active")["activeTargets"]
    except OSError:  # it does not listen yet
        return False
    return len(targets) == 3 and {target["health"] for target in targets} == {"up"}


def answers_or_ended(project: Project, service: str, load: Future[str]) -> bool:
    return load.done() or project.done(service) > 0


@pytest.mark.timeout(600)
def test_nothing_is_lost_when_a_replica_is_killed(project: Project) -> None:
    project.compose("up", "--detach", "--wait", "--wait-timeout", "180", *SERVICES)
    assert topics(project) == {
        # Name: partitions, days of retention.
        "image-jobs": (12, 7),
        "image-results": (12, 1),
        "image-jobs-dead-letters": (3, 30),
    }
    until(partial(all_up, project), "Prometheus reaches both workers and itself", 60)
    rules = {path.name for path in (ROOT / "deploy/prometheus/rules").glob("*.yaml")}
    loaded = project.ask_prometheus("rules")["groups"]
    assert {Path(group["file"]).name for group in loaded} == rules
    with ThreadPoolExecutor() as threads:
        load = threads.submit(project.compose, "run", "--rm", "-T", "load")
        for service in ("worker", "other"):
            until(partial(answers_or_ended, project, service, load), f"{service} answers jobs")
        project.compose("kill", "other")
        assert not load.done(), "it was killed during the jobs"
        answers = [json.loads(line) for line in load.result().splitlines()]
    assert [answer["errorCode"] for answer in answers] == [0] * JOBS
    container = project.compose("ps", "--quiet", "worker").strip()
    project.compose("stop", "worker")
    assert docker("inspect", "--format", "{{.State.ExitCode}}", container) == "0"
