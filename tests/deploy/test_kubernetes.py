"""The chart and the kustomizations, rendered by helm and kubectl, validated by strict schemas."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.kubernetes_tools import (
    KEDA,
    NEWEST,
    OLDEST,
    OPERATOR,
    Tools,
    custom_resource,
    fetch_module,
    fetch_tools,
)
from tests.support.paths import ROOT
from tests.support.pod_security import violations
from worker.settings import Settings
from worker.settings.sources import load

pytestmark = pytest.mark.deploy

CHART = ROOT / "deploy" / "helm" / "classify-worker"
KUBERNETES = ROOT / "deploy" / "kubernetes"
KUSTOMIZATIONS = ["base", "overlays/cpu", "overlays/gpu", "overlays/autoscaled"]

SECURED = (
    'config.kafka.bootstrap_servers="a.kafka:9093, b.kafka:9094"',
    'config.kafka.security_protocol="SASL_SSL"',
    'config.kafka.sasl={"mechanism": "SCRAM-SHA-512", "username": "123"}',
    'secretSettings=[{"setting": "kafka.sasl.password", "secret": "kafka", "key": "password"}]',
    'secretFiles=[{"setting": "kafka.tls.ca_file", "secret": "kafka-ca", "key": "ca.crt"}]',
)
SCALED = (
    "autoscaling.enabled=true",
    'autoscaling.prometheus.serverAddress="http://prometheus:9090"',
    "podMonitor.enabled=true",
)
PROTECTED = (
    'config.http={"infer": true, "protect_metrics": true}',
    'secretFiles[0]={"setting": "http.token_file", "secret": "tokens", "key": "tokens"}',
    'secretFiles[1]={"setting": "http.tls.cert_file", "secret": "tls", "key": "tls.crt"}',
    'secretFiles[2]={"setting": "http.tls.key_file", "secret": "tls", "key": "tls.key"}',
    'podMonitor.authorization={"credentials": {"name": "scraper", "key": "token"}}',
)
VARIANTS: dict[str, Sequence[str]] = {
    "defaults": (),
    "fixed": ('workload="StatefulSet"', "replicas=6"),
    "secured": SECURED,
    "scaled": SCALED,
    "scaled and secured": (
        *SECURED,
        *SCALED,
        'autoscaling.authentication=[{"parameter": "password", "name": "k", "key": "password"}]',
    ),
    "to zero": (*SCALED, "autoscaling.minReplicas=0"),
    "models": (
        'model={"volume": {"persistentVolumeClaim": {"claimName": "m"}}, "pullFirst": true}',
        'cache.existingClaim="cache"',
    ),
    "image volume": ('model.volume={"image": {"reference": "registry.example/models:1"}}',),
    "http": (
        'config.http={"infer": true}',
        'networkPolicy.ingressFrom=[{"namespaceSelector": {}}]',
        'networkPolicy.extraEgress=[{"ports": [{"port": 4317}]}]',
    ),
    "protected": (*PROTECTED, "podMonitor.enabled=true"),
    "own port": ('config.http={"metrics_port": 9100}', "podMonitor.enabled=true"),
    "openshift": (
        "podSecurityContext.runAsUser=null",
        "podSecurityContext.fsGroup=null",
        "networkPolicy.dnsPorts=[53, 5353]",
    ),
    "no free place": (
        'updateStrategy={"maxUnavailable": "25%", "maxSurge": 0}',
        'cache.size="4194304Ki"',
    ),
    "labelled": ('commonLabels={"team": "vision"}', 'podLabels={"team": "mine"}'),
}
EXAMPLES = [
    block
    for path in (CHART / "README.md", ROOT / "docs" / "deploy.md")
    for block in re.findall(r"```yaml\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
]
ONLY_NEWEST = {"image volume"}
"""What the oldest version of Kubernetes does not have."""


@pytest.fixture(scope="module")
def tools() -> Tools:
    return fetch_tools()


@pytest.fixture(scope="module")
def custom() -> dict[str, dict[str, Any]]:
    """Schemas of custom resources, by kind."""
    keda = fetch_module(KEDA) / "config" / "crd" / "bases"
    operator = fetch_module(OPERATOR) / "example" / "prometheus-operator-crd"
    return {
        "ScaledObject": custom_resource(keda / "keda.sh_scaledobjects.yaml"),
        "TriggerAuthentication": custom_resource(keda / "keda.sh_triggerauthentications.yaml"),
        "PodMonitor": custom_resource(operator / "monitoring.coreos.com_podmonitors.yaml"),
    }


@pytest.fixture(scope="module")
def triggers() -> dict[str, dict[str, dict[str, Any]]]:
    """Parameters of KEDA's triggers by type and name, as KEDA publishes them."""
    path = fetch_module(KEDA) / "schema" / "generated" / "scalers-schema.json"
    return {
        scaler["type"]: {parameter["name"]: parameter for parameter in scaler["parameters"]}
        for scaler in json.loads(path.read_text("utf-8"))["scalers"]
    }


def named(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (each for each in objects if each["kind"] == kind)
    return found


def pod(objects: list[dict[str, Any]], kind: str = "Deployment") -> dict[str, Any]:
    template: dict[str, Any] = named(objects, kind)["spec"]["template"]
    return template


def check(
    tools: Tools,
    custom: dict[str, dict[str, Any]],
    objects: list[dict[str, Any]],
    versions: Sequence[str],
    directory: Path,
) -> None:
    """What every set of manifests must stand."""
    plain = [each for each in objects if each["kind"] not in custom]
    path = directory / "manifests.yaml"
    path.write_text(yaml.safe_dump_all(plain), "utf-8")
    for version in versions:
        report = tools.validate(path, version)
        assert report.count("INFO") == len(plain), report
    for each in objects:
        if each["kind"] in custom:
            jsonschema.validate(each, custom[each["kind"]])
        if each["kind"] in ("Deployment", "StatefulSet"):
            assert violations(each["spec"]["template"]) == []


def test_the_chart_is_without_a_complaint(tools: Tools) -> None:
    assert "0 chart(s) failed" in tools.helm("lint", "--strict", CHART)


@pytest.mark.parametrize("name", VARIANTS)
def test_what_the_chart_renders_is_valid(
    name: str, tools: Tools, custom: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    versions = [NEWEST] if name in ONLY_NEWEST else [OLDEST, NEWEST]
    check(tools, custom, tools.render(*VARIANTS[name]), versions, tmp_path)


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_what_kustomize_builds_is_valid(
    name: str, tools: Tools, custom: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    objects = tools.build(KUBERNETES / name)
    assert len(objects) == (9 if "autoscaled" in name else 7)
    check(tools, custom, objects, [OLDEST, NEWEST], tmp_path)
    images = {container["image"] for container in pod(objects)["spec"]["containers"]}
    assert len(images) == 1
    assert ("registry.example" in images.pop()) == (name != "base")
    if "autoscaled" in name:
        assert "replicas" not in named(objects, "Deployment")["spec"]
        lag = named(objects, "ScaledObject")["spec"]["triggers"][0]["metadata"]
        assert lag["bootstrapServers"] == "kafka-bootstrap.kafka.svc:9092"


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_documents_show_is_valid(
    example: str, tools: Tools, custom: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(example, "utf-8")
    text = tools.helm("template", "images", CHART, "--values", values)
    check(tools, custom, list(yaml.safe_load_all(text)), [OLDEST, NEWEST], tmp_path)


def probes(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    (worker,) = pod(objects)["spec"]["containers"]
    return [worker[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]


def test_all_speak_tls_where_the_worker_does(tools: Tools) -> None:
    secured = tools.render(*VARIANTS["protected"])
    own_volume = tools.render('config.http={"tls": {"cert_file": "/tls/c", "key_file": "/tls/k"}}')
    for objects in (secured, own_volume):
        assert {probe["scheme"] for probe in probes(objects)} == {"HTTPS"}
        assert named(objects, "Service")["spec"]["ports"][0]["appProtocol"] == "https"
    (endpoint,) = named(secured, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert (endpoint["scheme"], endpoint["tlsConfig"]) == ("https", {"insecureSkipVerify": True})
    assert endpoint["authorization"] == {"credentials": {"name": "scraper", "key": "token"}}
    (worker,) = pod(secured)["spec"]["containers"]
    environ = {each["name"]: each.get("value") for each in worker["env"]}
    assert environ["WORKER_HTTP__TOKEN_FILE"] == "/run/secrets/classify-worker/http.token_file"
    (secrets,) = (each for each in pod(secured)["spec"]["volumes"] if each["name"] == "secrets")
    # The worker refuses tokens that all may read.
    assert secrets["projected"]["defaultMode"] == 0o440
    plain = tools.render(*VARIANTS["own port"])
    assert all("scheme" not in probe for probe in probes(plain))
    assert "scheme" not in named(plain, "PodMonitor")["spec"]["podMetricsEndpoints"][0]


def test_schemas_are_strict(
    tools: Tools, custom: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """A field that does not exist is an error in each of them: else the tests above say nothing."""
    objects = tools.render(*SCALED)
    named(objects, "ScaledObject")["spec"]["maxReplicas"] = 6
    named(objects, "PodMonitor")["spec"]["podMetricsEndpoints"][0]["ports"] = "http"
    for kind in ("ScaledObject", "PodMonitor"):
        with pytest.raises(jsonschema.ValidationError, match=r"maxReplicas|ports"):
            jsonschema.validate(named(objects, kind), custom[kind])
    deployment = named(objects, "Deployment")
    deployment["spec"]["template"]["spec"]["enableServiceLink"] = False
    path = tmp_path / "deployment.yaml"
    path.write_text(yaml.safe_dump(deployment), "utf-8")
    with pytest.raises(AssertionError, match="enableServiceLink"):
        tools.validate(path, NEWEST)


def test_the_base_is_the_rendered_chart(tools: Tools, tmp_path: Path) -> None:
    environ = {**os.environ, "HELM": str(tools.directory / "helm"), "OUT": str(tmp_path)}
    command = [KUBERNETES / "render.sh"]
    subprocess.run(command, env=environ, check=True, timeout=60)
    rendered = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.yaml"))
    assert len(rendered) == 8
    for path in rendered:
        committed = (KUBERNETES / path).read_text("utf-8")
        assert committed == (tmp_path / path).read_text("utf-8"), f"run {command[0]}"


@pytest.mark.parametrize("name", ["scaled", "scaled and secured", "to zero"])
def test_triggers_are_what_keda_publishes(
    name: str, tools: Tools, triggers: dict[str, dict[str, dict[str, Any]]]
) -> None:
    objects = tools.render(*VARIANTS[name])
    scaled = named(objects, "ScaledObject")["spec"]
    assert [trigger["type"] for trigger in scaled["triggers"]] == ["kafka", "prometheus"]
    for trigger in scaled["triggers"]:
        published = triggers[trigger["type"]]
        for parameter, value in trigger["metadata"].items():
            assert published[parameter]["metadataVariableReadable"], parameter
            assert isinstance(value, str)
            assert value in published[parameter].get("allowedValue", [value]), parameter
        given = trigger["metadata"].keys()
        for parameter, described in published.items():
            optional = described.get("optional") or "default" in described
            assert optional or parameter in given, parameter
    lag, drain = scaled["triggers"]
    assert drain["metadata"]["ignoreNullValues"] == ("true" if name == "to zero" else "false")
    if "secured" in name:
        assert (lag["metadata"]["tls"], lag["metadata"]["sasl"]) == ("enable", "scram_sha512")
        secret = named(objects, "TriggerAuthentication")
        assert lag["authenticationRef"]["name"] == secret["metadata"]["name"]
        for target in secret["spec"]["secretTargetRef"]:
            readable = triggers["kafka"][target["parameter"]]
            assert readable["triggerAuthenticationVariableReadable"]


def test_parameters_that_can_be_secret_are_kedas(
    triggers: dict[str, dict[str, dict[str, Any]]],
) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    scaling = schema["properties"]["autoscaling"]["properties"]
    allowed = scaling["authentication"]["items"]["properties"]["parameter"]["enum"]
    for parameter in allowed:
        assert triggers["kafka"][parameter]["triggerAuthenticationVariableReadable"], parameter


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ('config.kafka.sasl={"password": "secret"}', "'password' not allowed"),
        ('config.kafka.group="mine"', "'group' not allowed"),
        ("config.intake.max_jobs=0", "minimum: got 0, want 1"),
        ('config.log.level="loud"', "/config/log/level"),
        ('secretSettings=[{"setting": "kafka.group_id", "secret": "s", "key": "k"}]', "setting"),
        ("replica=3", "'replica' not allowed"),
        ('cache.size="4194304ki"', "/cache/size"),
        ("networkPolicy.dnsPorts=[]", "/networkPolicy/dnsPorts"),
        ("config.http.port=0", "config.http.port is 0"),
        ("config.http.metrics_port=0", "config.http.metrics_port is 0"),
        ('config.kafka.group_instance_id="one"', "use workload StatefulSet"),
        ("updateStrategy.maxSurge=0", "are both 0"),
        ('workload="DaemonSet"', "/workload"),
        (
            "autoscaling={'enabled': true, 'targetSeconds': 10}".replace("'", '"'),
            "is 300, and must",
        ),
    ],
)
def test_the_chart_refuses(value: str, complaint: str, tools: Tools) -> None:
    with pytest.raises(AssertionError) as refused:
        tools.render(value)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (("model.pullFirst=true", 'config.model_dir="/models/own"'), "leave out one of both"),
        (("model.pullFirst=true", 'config.model="models/own"'), "is a path"),
        ((*SECURED, *SCALED), "autoscaling.authentication is empty"),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    values: Sequence[str], complaint: str, tools: Tools
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        tools.render(*values)


def test_an_update_goes_as_the_values_say(tools: Tools) -> None:
    deployment = named(tools.render(*VARIANTS["no free place"]), "Deployment")
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {
        "maxUnavailable": "25%",
        "maxSurge": 0,
    }


def test_dns_is_asked_on_the_ports_that_the_values_name(tools: Tools) -> None:
    dns = named(tools.render(*VARIANTS["openshift"]), "NetworkPolicy")["spec"]["egress"][1]
    assert {(port["port"], port["protocol"]) for port in dns["ports"]} == {
        (port, protocol) for port in (53, 5353) for protocol in ("UDP", "TCP")
    }


def test_a_fixed_group_is_not_scaled(tools: Tools) -> None:
    with pytest.raises(AssertionError, match="needs workload Deployment"):
        tools.render('workload="StatefulSet"', "autoscaling.enabled=true")


def test_settings_come_through_as_they_are(tools: Tools, tmp_path: Path) -> None:
    """Large numbers above all, which helm's YAML writes as floating point where it may."""
    objects = tools.render(
        *SECURED,
        'config.intake={"max_bytes": 2147483648, "max_jobs": 100}',
        'config.fetch={"allow_networks": ["10.1.0.0/16"], "backoff_initial": 0.2}',
        "config.shutdown.deadline=40.5",
    )
    settings = load_as_deployed(objects, pod(objects), tmp_path)
    assert settings.intake.max_bytes == 2147483648
    assert settings.intake.max_jobs == 100
    assert [str(network) for network in settings.fetch.allow_networks] == ["10.1.0.0/16"]
    assert settings.kafka.sasl.username == "123"
    assert settings.kafka.sasl.password is not None
    assert settings.kafka.sasl.password.get_secret_value() == "kafka.sasl.password of kafka"
    assert settings.kafka.tls.ca_file is not None
    assert settings.kafka.tls.ca_file.read_text("utf-8") == "kafka.tls.ca_file of kafka-ca"
    assert pod(objects)["spec"]["terminationGracePeriodSeconds"] > 40.5 + 10
    kafka = named(objects, "NetworkPolicy")["spec"]["egress"][0]
    assert [port["port"] for port in kafka["ports"]] == [9093, 9094]


def test_a_fixed_group_has_static_members(tools: Tools, tmp_path: Path) -> None:
    objects = tools.render(*VARIANTS["fixed"])
    settings = load_as_deployed(objects, pod(objects, "StatefulSet"), tmp_path)
    assert settings.kafka.group_instance_id == "metadata.name"
    # A restart, with all that it may take, is over before the group notices.
    assert settings.kafka.session_timeout > settings.shutdown.deadline + 60
    assert named(objects, "StatefulSet")["spec"]["podManagementPolicy"] == "Parallel"


def load_as_deployed(
    objects: list[dict[str, Any]], template: dict[str, Any], directory: Path
) -> Settings:
    """Lay files where the pod would have them, below a directory; then read the settings."""
    (container,) = template["spec"]["containers"]
    for volume in template["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", ()):
            secret = source["secret"]
            for item in secret["items"]:
                path = directory / item["path"]
                path.write_text(f"{item['path']} of {secret['name']}", "utf-8")
    environ = {
        entry["name"]: entry["value"].replace("/run/secrets/classify-worker", str(directory))
        if "value" in entry
        else entry["valueFrom"]["fieldRef"]["fieldPath"]
        for entry in container["env"]
    }
    config = directory / "worker.yaml"
    config.write_text(named(objects, "ConfigMap")["data"]["worker.yaml"], "utf-8")
    return load(config, environ=environ).settings


def test_with_http_a_service_takes_the_pod_out_first(tools: Tools) -> None:
    (container,) = pod(tools.render(*VARIANTS["http"]))["spec"]["containers"]
    waits = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod(tools.render(*VARIANTS["http"]))["spec"]["terminationGracePeriodSeconds"]
    assert grace > waits + Settings().shutdown.deadline + 10


@pytest.mark.parametrize(
    ("http", "port"), [({}, 8080), ({"metrics_port": 9100}, 9100), ({"metrics_port": 8080}, 8080)]
)
def test_probes_and_prometheus_ask_the_port_of_metrics(
    http: dict[str, int], port: int, tools: Tools
) -> None:
    objects = tools.render(f"config.http={json.dumps(http)}", "podMonitor.enabled=true")
    (container,) = pod(objects)["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert len(set(ports.values())) == len(ports)
    (scraped,) = named(objects, "PodMonitor")["spec"]["podMetricsEndpoints"]
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert {ports[asked["port"]] for asked in (*probes, scraped)} == {port}
    admitted = named(objects, "NetworkPolicy")["spec"]["ingress"][0]["ports"]
    assert {each["port"] for each in admitted} == ports.keys()


def test_a_change_of_settings_starts_new_pods(tools: Tools) -> None:
    annotations = [
        pod(tools.render(*values))["metadata"]["annotations"]["checksum/config"]
        for values in ((), ("replicas=3",), ('config.model="ResNet50"',))
    ]
    assert annotations[0] == annotations[1] != annotations[2]
