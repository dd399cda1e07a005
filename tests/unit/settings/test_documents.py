"""The documents about settings are current, and what `config` prints is complete and discreet."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from tests.support.paths import ROOT
from worker.settings import Settings
from worker.settings.reference import render_reference_yaml, render_settings_table
from worker.settings.show import print_settings
from worker.settings.sources import Loaded, describe, load

REMEDY = "run: python -m worker.settings.reference configs/worker.yaml docs/settings.md"


def test_the_example_configuration_is_current() -> None:
    assert (ROOT / "configs/worker.yaml").read_text("utf-8") == render_reference_yaml(), REMEDY


def test_the_settings_table_is_current() -> None:
    assert (ROOT / "docs/settings.md").read_text("utf-8") == render_settings_table(), REMEDY


def test_the_example_configuration_shows_every_setting_at_its_default() -> None:
    loaded = load(ROOT / "configs/worker.yaml", environ={})
    assert loaded.settings == Settings()
    assert all(source.startswith("file ") for source in loaded.sources.values())


def test_the_example_configuration_says_what_each_setting_means_and_its_unit() -> None:
    text = " ".join(render_reference_yaml().replace("#", " ").split())
    for setting in describe().values():
        assert setting.sentence in text
    lines = render_reference_yaml().splitlines()
    assert "  session_timeout: 30.0  # seconds" in lines
    assert "  max_bytes: 268435456  # bytes (256 MiB)" in lines
    choices = "One of console, json."
    sentence = "Lines for people (on a terminal, unless set), or JSON for collectors."
    assert f"  # {sentence} {choices}" in lines
    assert all(len(line) <= 100 for line in lines)


def test_the_settings_table_has_a_row_for_each_setting() -> None:
    rows = [line for line in render_settings_table().splitlines() if line.startswith("| `")]
    assert len(rows) == len(describe())
    assert (
        "| `http.port` | `8080` | a whole number from 0 up to 65535 "
        "| Port to listen on; 0 takes a free one. |"
    ) in rows


@pytest.fixture
def loaded() -> Loaded:
    return load(
        overrides=["fetch.allow_networks=10.0.0.0/8,::1/128", "kafka.group_id=[bold]me[/bold]"],
        environ={
            "WORKER_KAFKA__SASL__PASSWORD": "hunter2",
            "WORKER_KAFKA__CLIENT_ID": "c" * 200,
        },
    )


def printed(loaded: Loaded, *, as_json: bool) -> str:
    out = io.StringIO()
    print_settings(loaded, as_json=as_json, console=Console(file=out, width=80))
    return out.getvalue()


def test_settings_are_printed_a_line_each_with_their_sources(loaded: Loaded) -> None:
    lines = [line.split() for line in printed(loaded, as_json=False).splitlines()]
    assert lines[0] == ["Setting", "Value", "Source"]
    assert len(lines) == 1 + len(describe())
    by_key = {line[0]: line[1:] for line in lines}
    assert by_key["kafka.group_id"] == ["[bold]me[/bold]", "command", "line"]
    assert by_key["kafka.client_id"] == ["c" * 200, "env", "WORKER_KAFKA__CLIENT_ID"]
    assert by_key["fetch.allow_networks"] == ["10.0.0.0/8,::1/128", "command", "line"]
    assert by_key["kafka.create_topics"] == ["false", "default"]
    assert by_key["model_cache"] == ["default"]


def test_settings_are_printed_as_json(loaded: Loaded) -> None:
    document = json.loads(printed(loaded, as_json=True))
    assert list(document) == list(describe())
    assert document["http.port"] == {"value": 8080, "source": "default"}
    assert document["fetch.allow_networks"]["value"] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize("as_json", [False, True])
def test_secrets_are_never_printed(loaded: Loaded, *, as_json: bool) -> None:
    text = printed(loaded, as_json=as_json)
    assert "hunter2" not in text
    assert text.count("[redacted]") == 1


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:canary@idp.example/token", "https://[redacted]@idp.example/token"),
        ("https://canary@idp.example/token", "https://[redacted]@idp.example/token"),
        ("https://me:can@canary@idp.example:8443/t", "https://[redacted]@idp.example:8443/t"),
        ("https://idp.example/token?key=canary&a=b", "https://idp.example/token?[redacted]"),
        ("https://idp.example/token", "https://idp.example/token"),
    ],
)
def test_secrets_inside_addresses_are_not_printed(
    address: str, shown: str, *, as_json: bool
) -> None:
    loaded = load(
        environ={
            "WORKER_KAFKA__SASL__TOKEN_ENDPOINT": address,
            "WORKER_KAFKA__SASL__MECHANISM": "OAUTHBEARER",
            "WORKER_KAFKA__SASL__CLIENT_ID": "me",
            "WORKER_KAFKA__SASL__CLIENT_SECRET": "canary",
        }
    )
    text = printed(loaded, as_json=as_json)
    assert shown in text
    assert "canary" not in text
