"""README.md and docs/ keep what they say: names, examples and links exist."""

from __future__ import annotations

import ast
import json
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from typer.main import get_command

from tests.support.paths import ROOT
from worker import client
from worker.cli.commands import app
from worker.metrics import Metrics
from worker.settings.sources import describe, load

README = (ROOT / "README.md").read_text("utf-8")
METRICS = (ROOT / "docs" / "metrics.md").read_text("utf-8")
SECURED = (ROOT / "docs" / "secured-kafka.md").read_text("utf-8")
CLIENT = (ROOT / "docs" / "client.md").read_text("utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(language: str, text: str = README) -> list[str]:
    """A document's fenced examples in one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def rows(text: str, columns: int) -> dict[str, list[str]]:
    """The rows of all tables of so many columns whose first cell is a name in code."""
    found = re.findall(r"^\| `(\w+)` \|(.*)\|$", text, re.MULTILINE)
    split = {name: [cell.strip() for cell in rest.split(" | ")] for name, rest in found}
    return {name: cells for name, cells in split.items() if len(cells) == columns - 1}


def families() -> dict[str, tuple[Metric, tuple[str, ...]]]:
    """Every metric of the worker by its name in queries, with its labels."""
    metrics = Metrics()
    metrics.model.info(dict.fromkeys(("name", "digest", "device", "backend"), ""))
    metrics.build.info({"version": ""})
    metrics.worker.info(dict.fromkeys(("group", "replica", "topic"), ""))
    own = {
        each._name: tuple(each._labelnames)
        for each in vars(metrics).values()
        if isinstance(each, MetricWrapperBase)
    }
    suffixes = {"counter": "_total", "info": "_info"}
    return {
        family.name + suffixes.get(family.type, ""): (
            family,
            # Those that are read at each scrape name their labels themselves.
            own.get(family.name)
            or getattr(family, "_labelnames", None)
            or tuple(family.samples[0].labels if family.samples else ()),
        )
        for family in metrics.registry.collect()
        if family.name.startswith("classify_")
    }


def test_every_metric_is_in_the_table_as_it_is() -> None:
    table = rows(METRICS, 5)
    assert table.keys() == families().keys()
    for name, (family, labels) in families().items():
        kind, listed, unit, meaning = table[name]
        assert kind == family.type
        assert set(re.findall(r"\w+", listed)) == set(labels) - {"le"}, name
        assert unit, name
        assert meaning == family.documentation


def test_the_readmes_metrics_are_those() -> None:
    known = families()
    names = set(re.findall(r"`(classify_\w+)`", README))
    assert names
    assert names <= known.keys()
    for name, (meaning,) in rows(README, 2).items():
        assert meaning == known[name][0].documentation


def test_the_readmes_settings_are_those() -> None:
    by_variable = {setting.env: setting for setting in describe().values()}
    named = set(re.findall(r"WORKER_\w+", README)) - {"WORKER_KAFKA__SASL__PASSWORD_FILE"}
    assert named <= by_variable.keys()
    table = rows(README, 3)
    assert len(table) > 12
    for variable, (default, meaning) in table.items():
        setting = by_variable[variable]
        written = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        assert yaml.safe_load(default.strip("`")) == written, variable
        assert meaning == setting.sentence


def test_the_readmes_configuration_can_be_used(tmp_path: Path) -> None:
    (example,) = blocks("yaml")
    path = tmp_path / "worker.yaml"
    path.write_text(example, "utf-8")
    (tmp_path / "password").write_text("secret", "utf-8")
    environ = {"WORKER_KAFKA__SASL__PASSWORD_FILE": str(tmp_path / "password")}
    assert load(path, environ=environ).settings.kafka.sasl.username == "classifier"


@pytest.mark.parametrize("example", blocks("yaml", SECURED))
def test_the_ways_into_a_secured_kafka_can_be_used(example: str, tmp_path: Path) -> None:
    path, secret = tmp_path / "worker.yaml", tmp_path / "secret"
    path.write_text(example, "utf-8")
    secret.write_text("secret", "utf-8")
    names = re.findall(r"\bWORKER_\w+_FILE\b", SECURED)
    loaded = load(path, environ=dict.fromkeys(names, str(secret)))
    assert loaded.settings.kafka.security_protocol != "PLAINTEXT"


@pytest.mark.parametrize("example", blocks("python", CLIENT))
def test_what_the_clients_examples_import_is_there(example: str) -> None:
    imports = [node for node in ast.walk(ast.parse(example)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if (node.module or "").startswith("worker")]
    assert ours
    for node in ours:
        module = import_module(node.module or "")
        assert [each.name for each in node.names if not hasattr(module, each.name)] == []


def test_what_the_client_exports_is_documented() -> None:
    undocumented = [name for name in client.__all__ if f"`{name}" not in CLIENT]
    assert undocumented == ["Category", "ModelIdentity", "Source"]  # in tables, without a name


def test_the_readmes_environment_can_be_used() -> None:
    lines = re.findall(r"^    (WORKER_\w+)=(.*)$", README, re.MULTILINE)
    settings = load(environ=dict(lines)).settings
    assert settings.kafka.bootstrap_servers == "broker-1:9092,broker-2:9092"


def test_the_readmes_messages_follow_the_schemas() -> None:
    job, success, failure = (json.loads(block) for block in blocks("json"))
    jsonschema.validate(job, schema("job"))
    for result in (success, failure):
        jsonschema.validate(result, schema("result"))


def schema(name: str) -> dict[str, Any]:
    text = (ROOT / "schemas" / f"{name}.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]*)", path.read_text("utf-8")):
        assert not target or (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(path: Path) -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    for name in re.findall(r"classify-worker ([a-z]+(?:-[a-z]+)*)", path.read_text("utf-8")):
        assert name in known, name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_options_in_commands_exist(path: Path) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for line in re.findall(
        r"^    (?:.*\| )?(classify-worker .*)$", path.read_text("utf-8"), re.MULTILINE
    ):
        alone = line.partition(" | ")[0].rstrip("\\")
        _, name, *words = shlex.split(alone, comments=True)
        command = commands[name]
        command = getattr(command, "commands", {}).get("".join(words[:1]), command)
        known = {option for each in command.params for option in each.opts}
        assert {word for word in words if re.match("--?[a-z]", word)} <= known, line


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_settings_that_a_document_names_exist(path: Path) -> None:
    known = describe()
    groups = "|".join({key.partition(".")[0] for key in known if "." in key})
    for name in re.findall(rf"`((?:{groups})\.[a-z_.]+)[`:=]", path.read_text("utf-8")):
        is_file = name.endswith((".css", ".html", ".js", ".json", ".md", ".py", ".yaml"))
        is_group = any(key.startswith(f"{name}.") for key in known)
        assert name in known or is_group or is_file, name


def test_files_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for name in re.findall(r"`([a-z_]+(?:/[a-z_0-9]+)*(?:/|\.py))`", text):
        places = (ROOT / name, ROOT / "worker" / name)
        package = ROOT / "worker" / name.removesuffix(".py")
        assert any(place.exists() for place in (*places, package)), name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_a_document_names_by_their_path_exist(path: Path) -> None:
    rooms = "benchmarks|chaos|configs|demo|docs|examples|schemas|scripts|tests|worker"
    named = re.findall(rf"`((?:{rooms})/[\w./-]*)`", path.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_readme_quotes_measured_speed() -> None:
    section = README.split("## How fast\n", 1)[1].split("\n## ", 1)[0]
    measured = (ROOT / "docs" / "performance.md").read_text("utf-8")
    quoted = re.findall(r"^\| (.+) \| (.+) \| ([\d.]+) \| ([\d.]+) \|$", section, re.MULTILINE)
    assert len(quoted) >= 8
    for peer, way, rate, cpu in quoted:
        row = rf"^\| worker auto \| {peer} \| {way} \| {rate} \(.*?\) \| {cpu} \("
        assert re.search(row, measured, re.MULTILINE), (peer, way)
    without, pictures = re.findall(r"([\d.]+) images/s, and ([\d.]+) with", section)[0]
    assert f"| worker auto | Kafka, without pictures | {without} |" in measured
    assert f"| worker auto | Kafka, with pictures | {pictures} |" in measured
