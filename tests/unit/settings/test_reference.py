"""The documents about settings are current, and complete."""

from __future__ import annotations

import pytest

from tests.support.paths import ROOT
from worker.settings import Settings
from worker.settings.reference import render_reference_yaml, render_settings_table
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
    sentence = "Lines for people (on a terminal, unless set), or JSON for collectors."
    assert f"  # {sentence} One of console, json." in lines
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
