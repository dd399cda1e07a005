"""What is deployed agrees with the code: read as it is, without a tool or a cluster.

`tests/deploy` renders it, validates it by the schemas of what reads it, and runs it.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.pod_security import violations
from worker import __version__
from worker.cache import CACHE_VARIABLE
from worker.health import Health
from worker.http.server import HttpServer
from worker.images import addresses
from worker.metrics import Metrics
from worker.settings import HttpSettings, Settings
from worker.settings.registry import describe
from worker.settings.sources import load

CHART = ROOT / "deploy" / "helm" / "classify-worker"
KUBERNETES = ROOT / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"
OVERLAYS = KUBERNETES / "overlays"
DEFAULTS = Settings()


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return document


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    template: dict[str, Any] = read(BASE / "deployment.yaml")["spec"]["template"]
    return template


@pytest.fixture(scope="module")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["spec"]["containers"]
    assert only["args"] == ["run"]
    return dict(only)


@pytest.fixture(scope="module")
def scaled() -> dict[str, Any]:
    spec: dict[str, Any] = read(OVERLAYS / "autoscaled" / "scaledobject.yaml")["spec"]
    return spec


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


def test_versions_are_the_workers() -> None:
    chart = read(CHART / "Chart.yaml")
    assert chart["version"] == re.sub("(a|b|rc)", r"-\1", __version__)
    assert chart["appVersion"] == __version__
    assert f"image: classify-worker:{__version__}\n" in (BASE / "deployment.yaml").read_text(
        "utf-8"
    )
    for overlay in ("cpu", "gpu", "autoscaled"):
        (image,) = read(OVERLAYS / overlay / "kustomization.yaml")["images"]
        assert image["newTag"].removesuffix("-gpu") == __version__


def test_the_table_and_the_settings_of_the_chart_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "chart.py"), "--check"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_value_is_described() -> None:
    table = (CHART / "README.md").read_text("utf-8")
    described = set(re.findall(r"^\| ([\w.]+) \|", table, re.MULTILINE))

    def undescribed(value: object, name: str) -> list[str]:
        if name in described:
            return []
        if isinstance(value, dict) and value:
            return [each for key in value for each in undescribed(value[key], f"{name}.{key}")]
        return [name]

    values = read(CHART / "values.yaml")
    assert [each for key, value in values.items() for each in undescribed(value, key)] == []


def test_every_value_is_used() -> None:
    templates = "".join(path.read_text("utf-8") for path in (CHART / "templates").iterdir())
    unused = [name for name in read(CHART / "values.yaml") if f".Values.{name}" not in templates]
    assert unused == []


def test_settings_in_values_are_the_workers_defaults() -> None:
    """What is written there is there to be seen, and changes nothing but the brokers."""

    def flat(group: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for key, value in group.items():
            nested = flat(value, f"{prefix}{key}.") if isinstance(value, dict) else None
            settings |= {f"{prefix}{key}": value} if nested is None else nested
        return settings

    known = describe()
    given = flat(read(CHART / "values.yaml")["config"])
    assert given.pop("kafka.bootstrap_servers") == "kafka:9092"
    assert {key: known[key].default for key in given} == given


@pytest.mark.parametrize("overlay", [None, "cpu", "gpu", "autoscaled"])
def test_the_worker_takes_its_settings(
    overlay: str | None, container: dict[str, Any], tmp_path: Path
) -> None:
    environ = environment(container)
    if overlay is not None:
        patch = read(OVERLAYS / overlay / "deployment.yaml")["spec"]["template"]["spec"]
        environ |= environment(patch["containers"][0])
    path = tmp_path / "worker.yaml"
    path.write_text(read(BASE / "configmap.yaml")["data"]["worker.yaml"], "utf-8")
    settings = load(path, environ=environ).settings
    assert str(settings.device) == ("gpu:0" if overlay == "gpu" else "cpu")
    assert settings.kafka.bootstrap_servers.endswith(":9092")


def test_the_container_finds_what_is_mounted(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    environ = environment(container)
    config = Path(environ["CLASSIFY_WORKER_CONFIG"])
    assert volumes[mounts[str(config.parent)]["name"]]["configMap"]["name"] == "classify-worker"
    assert config.name in read(BASE / "configmap.yaml")["data"]
    for writable in (environ[CACHE_VARIABLE], environ["HOME"], "/tmp"):  # noqa: S108
        assert not mounts[writable].get("readOnly")
        assert "emptyDir" in volumes[mounts[writable]["name"]]


async def test_probes_ask_what_the_worker_answers(container: dict[str, Any]) -> None:
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    asked = {kind: container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}
    (scraped,) = read(OVERLAYS / "autoscaled" / "podmonitor.yaml")["spec"]["podMetricsEndpoints"]
    (offered,) = read(BASE / "service.yaml")["spec"]["ports"]
    named = [probe["httpGet"]["port"] for probe in asked.values()]
    assert {ports[name] for name in (*named, scraped["port"], offered["targetPort"])} == {
        DEFAULTS.http.port
    }
    paths = {kind: probe["httpGet"]["path"] for kind, probe in asked.items()}
    # Of a worker that is loading its model: liveness succeeds, so that loading never restarts it.
    answers = await answers_while_loading([*paths.values(), scraped["path"]])
    assert answers[paths["startup"]] == answers[paths["liveness"]] == 200
    assert answers[paths["readiness"]] == 503
    assert answers[scraped["path"]] == 200
    starting = asked["startup"]["periodSeconds"] * asked["startup"]["failureThreshold"]
    assert starting >= DEFAULTS.predictor.start_timeout


async def answers_while_loading(paths: list[str]) -> dict[str, int]:
    """What a worker answers before its model is there, by path."""
    metrics = Metrics()
    health = Health(1.0, metrics)
    health.pulling = True
    server = HttpServer(HttpSettings(host="127.0.0.1", port=0), health, metrics, None)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
            return {path: (await client.get(path)).status for path in paths}
    finally:
        await server.stop()


def test_a_replica_may_drain(pod: dict[str, Any]) -> None:
    assert pod["spec"]["terminationGracePeriodSeconds"] > DEFAULTS.shutdown.deadline + 10
    strategy = read(BASE / "deployment.yaml")["spec"]["strategy"]["rollingUpdate"]
    assert strategy["maxUnavailable"] == 0


def test_a_replica_sizes_itself_by_whole_cores(container: dict[str, Any]) -> None:
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    assert requests["cpu"] == limits["cpu"] == str(int(limits["cpu"]))
    assert requests["memory"] == limits["memory"]


def test_pods_may_run_under_restricted_pod_security(pod: dict[str, Any]) -> None:
    assert violations(pod) == []
    namespace = read(BASE / "namespace.yaml")["metadata"]
    for mode in ("enforce", "audit", "warn"):
        assert namespace["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"
    (worker,) = pod["spec"]["containers"]
    assert worker["securityContext"]["readOnlyRootFilesystem"] is True


def test_pods_get_nothing_of_kubernetes(pod: dict[str, Any]) -> None:
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["enableServiceLinks"] is False
    assert read(BASE / "serviceaccount.yaml")["automountServiceAccountToken"] is False


def test_the_network_policy_leaves_out_what_the_worker_refuses() -> None:
    policy = read(BASE / "networkpolicy.yaml")["spec"]
    kafka, dns, public = policy["egress"]
    assert [port["port"] for port in kafka["ports"]] == [9092]
    assert {(port["port"], port["protocol"]) for port in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    ipv4, ipv6 = (peer["ipBlock"] for peer in public["to"])
    assert ipv4["cidr"] == "0.0.0.0/0"
    assert ipv4["except"] == [str(network) for network in addresses._FORBIDDEN_IPV4]
    assert ipv6["cidr"] == str(addresses._GLOBAL_IPV6)
    assert ipv6["except"] == [str(network) for network in addresses._FORBIDDEN_IPV6]


def test_all_objects_select_the_same_pods(pod: dict[str, Any]) -> None:
    selectors = [
        read(BASE / "deployment.yaml")["spec"]["selector"]["matchLabels"],
        read(BASE / "service.yaml")["spec"]["selector"],
        read(BASE / "poddisruptionbudget.yaml")["spec"]["selector"]["matchLabels"],
        read(BASE / "networkpolicy.yaml")["spec"]["podSelector"]["matchLabels"],
        read(OVERLAYS / "autoscaled" / "podmonitor.yaml")["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= pod["metadata"]["labels"].items()
        assert selector == selectors[0]


def test_scaling_by_lag_asks_what_the_worker_consumes(scaled: dict[str, Any]) -> None:
    lag = scaled["triggers"][0]["metadata"]
    kafka = DEFAULTS.kafka
    assert (lag["topic"], lag["consumerGroup"]) == (kafka.jobs_topic, kafka.group_id)
    assert lag["offsetResetPolicy"] == kafka.auto_offset_reset == "earliest"
    assert lag["ensureEvenDistributionOfPartitions"] == "true"
    values = read(CHART / "values.yaml")["autoscaling"]
    cleared = values["jobsPerSecond"] * values["targetSeconds"]
    assert int(lag["lagThreshold"]) == math.ceil(cleared) > DEFAULTS.intake.max_jobs
    assert scaled["maxReplicaCount"] == values["partitions"] == kafka.topics.partitions
    assert scaled["minReplicaCount"] == 1


def test_scaling_down_is_slow(scaled: dict[str, Any]) -> None:
    down = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] == 300
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 300}]
    assert scaled["fallback"]["behavior"] == "currentReplicasIfHigher"


def test_replicas_that_have_just_come_count_before_more_do(scaled: dict[str, Any]) -> None:
    up = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"]
    query = scaled["triggers"][1]["metadata"]["query"]
    (minutes,) = re.findall(r"\[(\d+)m\]", query)
    assert up["stabilizationWindowSeconds"] == 60 * int(minutes)


def test_scaling_by_seconds_to_drain_asks_metrics_that_exist(scaled: dict[str, Any]) -> None:
    drain = scaled["triggers"][1]
    assert drain["metricType"] == "Value"
    query = drain["metadata"]["query"]
    asked = set(re.findall(r"classify_\w+", query))
    registered = {family.name for family in Metrics().registry.collect()}
    assert len(asked) == 2
    assert {name.removesuffix("_total") for name in asked} <= registered
    labels = set(re.findall(r'(\w+="[^"]*")', query))
    assert labels == {'namespace="image-classification"', 'job="classify-worker"'}
    monitor = read(OVERLAYS / "autoscaled" / "podmonitor.yaml")["spec"]
    assert monitor["jobLabel"] == "app.kubernetes.io/instance"
    assert monitor["selector"]["matchLabels"][monitor["jobLabel"]] == "classify-worker"


def test_compose_has_the_lines_for_http_with_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "deploy" / "compose" / "compose.yaml").read_text("utf-8")
    plain = yaml.safe_load(text)
    assert not plain["services"]["worker"].keys() & {"ports", "secrets"}
    names = r"WORKER_HTTP__\w+: |ports: |secrets:|  http_tokens:"
    chosen = yaml.safe_load(re.sub(rf"(?m)^( *)# (?={names})", r"\1", text))
    worker = chosen["services"]["worker"]
    assert worker["secrets"] == list(chosen["secrets"]) == ["http_tokens"]
    added = worker["environment"].items() - plain["services"]["worker"]["environment"].items()
    for name, value in added:
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    http = load(None, []).settings.http
    assert http.infer
    assert str(http.token_file) == "/run/secrets/http_tokens"
    assert worker["ports"][0].endswith(f":{http.port}")


@pytest.mark.parametrize(
    "name",
    [
        "cpp/http_client.cpp",
        "csharp/HttpExample.cs",
        "go/http/main.go",
        "java/HttpExample.java",
        "nodejs/http_client.mjs",
        "php/http_client.php",
        "python/http_client.py",
    ],
)
def test_each_example_says_where_a_token_goes(name: str) -> None:
    text = (ROOT / "examples" / name).read_text("utf-8")
    assert re.search(r"(//|#) Where the worker asks for a token.*(\n.*)?(Bearer |token=)", text)
