"""The settings of retries and duplicates, from all sources, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import SettingsError
from worker.settings import Settings
from worker.settings.sources import load

LADDER = {"image-jobs-retry-10s": 10.0, "image-jobs-retry-1m": 60.0, "image-jobs-retry-10m": 600.0}


def test_both_are_off_by_default() -> None:
    settings = Settings()
    assert settings.retry_topics == {}
    assert settings.duplicates.window is None


@pytest.mark.parametrize("listed", ["[10s, 1m, 10m]", "[10, 60, 600]", "['10', 60.0, 10m]"])
def test_delays_are_read_from_a_file(tmp_path: Path, listed: str) -> None:
    path = tmp_path / "worker.yaml"
    path.write_text(f"retry:\n  delays: {listed}\nduplicates:\n  window: 10m\n")
    settings = load(path, environ={}).settings
    assert settings.retry_topics == LADDER
    assert settings.duplicates.window == 600.0


@pytest.mark.parametrize("listed", ["10s,1m,10m", '["10s", 60, "600"]', "10, 60, 600s"])
def test_delays_are_read_from_the_environment(listed: str) -> None:
    environ = {"WORKER_RETRY__DELAYS": listed, "WORKER_DUPLICATES__WINDOW": "90"}
    settings = load(environ=environ).settings
    assert settings.retry_topics == LADDER
    assert settings.duplicates.window == 90.0


@pytest.mark.parametrize(
    ("listed", "delays"),
    [("[10s, 1m]", (10.0, 60.0)), ("10s", (10.0,)), ("10s,1m", (10.0, 60.0)), ("5", (5.0,))],
)
def test_delays_are_read_from_the_command_line(listed: str, delays: tuple[float, ...]) -> None:
    assert load(None, [f"retry.delays={listed}"], {}).settings.retry.delays == delays


def test_the_topics_can_be_named() -> None:
    settings = load(None, ["retry.delays=60s", "retry.topic=later"], {}).settings
    assert settings.retry_topics == {"later-1m": 60.0}


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("retry.delays=[1m, 10s]", "after 1m comes 10s; each delay must be longer"),
        ("retry.delays=[60s, 1m]", "after 1m comes 1m; each delay must be longer"),
        ("retry.delays=[soon]", "'soon' is no duration; write 500ms, 10s, 1m, 1h"),
        ("retry.delays=[0s]", "a list of durations such as 10s, 1m, 10m"),
        ("retry.delays=[2d]", "a list of durations such as 10s, 1m, 10m"),
        ("retry.delays=true", "a list of durations such as 10s, 1m, 10m"),
        ("duplicates.window=soon", "'soon' is no duration"),
        ("duplicates.window=0", "a duration such as 10s, 1m or 1h, or a number of seconds"),
        ("duplicates.max_jobs=0", "a whole number from 1"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write(override: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match="the settings are wrong") as caught:
        load(None, [override], {})
    assert complaint in str(caught.value)
    assert override.partition("=")[0] in str(caught.value)


def test_a_retry_topic_is_none_of_the_other_topics() -> None:
    wrong = ["retry.delays=10s", "kafka.results_topic=image-jobs-retry-10s"]
    with pytest.raises(SettingsError, match="image-jobs-retry-10s is already one of kafka's"):
        load(None, wrong, {})


def test_retries_of_aborted_transactions_are_never_read() -> None:
    uncommitted = ["delivery=exactly_once", "kafka.isolation_level=read_uncommitted"]
    assert load(None, uncommitted, {}).settings.delivery == "exactly_once"
    with pytest.raises(SettingsError, match="must be read_committed"):
        load(None, [*uncommitted, "retry.delays=10s"], {})
    assert load(None, [uncommitted[1], "retry.delays=10s"], {}).settings.retry.delays
