"""Where settings come from, and which source wins."""

import json
import pickle  # noqa: TID251 - of our own making
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr

from worker.settings import Settings
from worker.settings.sources import Loaded, describe, load

NOTHING: Mapping[str, str] = {}


def from_env(**variables: str) -> Loaded:
    return load(environ={f"WORKER_{name}": value for name, value in variables.items()})


def from_file(tmp_path: Path, text: str | bytes) -> Loaded:
    path = tmp_path / "worker.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, environ=NOTHING)


def test_without_any_source_all_is_default() -> None:
    loaded = load(environ=NOTHING)
    assert loaded.settings == Settings()
    assert set(loaded.sources) == set(describe())
    assert set(loaded.sources.values()) == {"default"}


def test_command_line_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    path = tmp_path / "worker.yaml"
    path.write_text(
        "kafka:\n  group_id: file\n  jobs_topic: file\n  results_topic: file\nmodel: file\n"
    )
    loaded = load(
        path,
        ["kafka.group_id=first", "kafka.group_id=line"],
        {"WORKER_KAFKA__GROUP_ID": "env", "WORKER_KAFKA__JOBS_TOPIC": "env", "PATH": "/bin"},
    )
    kafka = loaded.settings.kafka
    assert (kafka.group_id, kafka.jobs_topic, kafka.results_topic) == ("line", "env", "file")
    assert kafka.client_id == "classify-worker"
    assert {key: loaded.sources[f"kafka.{key}"] for key in ("group_id", "jobs_topic")} == {
        "group_id": "command line",
        "jobs_topic": "env WORKER_KAFKA__JOBS_TOPIC",
    }
    assert loaded.sources["kafka.results_topic"] == f"file {path}:4"
    assert loaded.sources["model"] == f"file {path}:5"
    assert loaded.sources["kafka.client_id"] == "default"


def test_the_environment_alone_suffices() -> None:
    settings = from_env(
        KAFKA__BOOTSTRAP_SERVERS="a:9092,[::1]:9093",
        KAFKA__JOBS_TOPIC="j",
        KAFKA__RESULTS_TOPIC="r",
        KAFKA__DEAD_LETTERS_TOPIC="d",
        KAFKA__GROUP_ID="7",
        KAFKA__CREATE_TOPICS="true",
        MODEL="/models/lite0",
        HTTP__HOST="127.0.0.1",
        HTTP__PORT="0",
        FETCH__ALLOW_NETWORKS="10.0.0.0/8, 127.0.0.1/32,fd00::/8",
        BATCHING__LINGER="0.005",
    ).settings
    assert settings.kafka.bootstrap_servers == "a:9092,[::1]:9093"
    assert settings.kafka.group_id == "7"
    assert settings.kafka.create_topics is True
    assert settings.model == "/models/lite0"
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 0)
    assert settings.fetch.allow_networks == (
        ip_network("10.0.0.0/8"),
        ip_network("127.0.0.1/32"),
        ip_network("fd00::/8"),
    )
    assert settings.batching.linger == 0.005


def test_settings_are_the_plain_model_which_a_spawned_process_can_unpickle() -> None:
    settings = from_env(KAFKA__SASL__PASSWORD="x").settings
    assert type(settings) is Settings
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own


@pytest.mark.parametrize("written", ['["10.0.0.0/8", "127.0.0.1/32"]', "10.0.0.0/8,127.0.0.1/32"])
def test_networks_are_written_the_same_everywhere(tmp_path: Path, written: str) -> None:
    expected = (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32"))
    ways = (
        from_env(FETCH__ALLOW_NETWORKS=written),
        load(overrides=[f"fetch.allow_networks={written}"], environ=NOTHING),
        from_file(tmp_path, f"fetch:\n  allow_networks: {written}\n"),
    )
    for loaded in ways:
        assert loaded.settings.fetch.allow_networks == expected


def test_an_empty_variable_is_unset_but_for_a_list(tmp_path: Path) -> None:
    path = tmp_path / "worker.yaml"
    path.write_text("model: file\nfetch:\n  allow_networks: [10.0.0.0/8]\n")
    empty = ("WORKER_MODEL", "WORKER_FETCH__ALLOW_NETWORKS", "WORKER_KAFKA__SASL__PASSWORD_FILE")
    loaded = load(path, environ=dict.fromkeys(empty, ""))
    assert loaded.settings.model == "file"
    assert loaded.settings.fetch.allow_networks == ()
    assert loaded.sources["fetch.allow_networks"] == "env WORKER_FETCH__ALLOW_NETWORKS"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("kafka.group_id=42", "42"),
        ("kafka.group_id=yes", "yes"),
        ("kafka.group_id='quoted # text'", "quoted # text"),
        ("kafka.group_id=a=b", "a=b"),
        ("kafka.group_id=*not-an-alias", "*not-an-alias"),
        ("kafka.group_id=2024-99-99", "2024-99-99"),
    ],
)
def test_text_on_the_command_line_stays_text(override: str, expected: str) -> None:
    assert load(overrides=[override], environ=NOTHING).settings.kafka.group_id == expected


def test_null_on_the_command_line_unsets(tmp_path: Path) -> None:
    path = tmp_path / "worker.yaml"
    path.write_text("kafka:\n  group_instance_id: worker-1\n")
    for text in ("null", "~", ""):
        loaded = load(path, [f"kafka.group_instance_id={text}"], NOTHING)
        assert loaded.settings.kafka.group_instance_id is None


def test_a_group_with_everything_commented_out_is_all_default(tmp_path: Path) -> None:
    assert from_file(tmp_path, "kafka:\n  # group_id: x\nhttp:\n").settings == Settings()
    assert from_file(tmp_path, "# nothing\n").settings == Settings()


def test_secret_files(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(" p=ß#1 \r\n")
    loaded = from_env(
        KAFKA__SECURITY_PROTOCOL="SASL_SSL",
        KAFKA__SASL__USERNAME="me",
        KAFKA__SASL__PASSWORD_FILE=str(secret),
    )
    assert loaded.settings.kafka.sasl.password == SecretStr(" p=ß#1 ")
    assert loaded.sources["kafka.sasl.password"] == f"secret file {secret}"


def test_any_setting_can_come_from_a_file_of_its_own(tmp_path: Path) -> None:
    port = tmp_path / "port"
    port.write_text("81\n")
    assert from_env(HTTP__PORT_FILE=str(port)).settings.http.port == 81


def test_settings_that_are_paths_keep_their_meaning() -> None:
    loaded = from_env(KAFKA__TLS__CA_FILE="/nowhere/ca.pem")
    assert loaded.settings.kafka.tls.ca_file == Path("/nowhere/ca.pem")
    assert loaded.sources["kafka.tls.ca_file"] == "env WORKER_KAFKA__TLS__CA_FILE"


def test_a_device_may_be_written_in_capitals() -> None:
    assert str(from_env(DEVICE="GPU:0,1").settings.device) == "gpu:0,1"


def test_variables_that_are_not_settings_are_left_alone() -> None:
    service = {  # what Kubernetes says about services named `worker` and `worker-http`
        "WORKER_SERVICE_HOST": "10.96.0.7",
        "WORKER_SERVICE_PORT": "8080",
        "WORKER_SERVICE_PORT_HTTP": "8080",
        "WORKER_PORT": "tcp://10.96.0.7:8080",
        "WORKER_PORT_8080_TCP": "tcp://10.96.0.7:8080",
        "WORKER_PORT_8080_TCP_PROTO": "tcp",
        "WORKER_PORT_8080_TCP_PORT": "8080",
        "WORKER_PORT_8080_TCP_ADDR": "fd00::7",
        "WORKER_HTTP_PORT": "tcp://10.96.0.8:80",
        "WORKER_HTTP_SERVICE_HOST": "10.96.0.8",
    }
    others = {"WORKER_FAILPOINTS": "x", "CLASSIFY_WORKER_CACHE": "/c", "worker_model": "x"}
    assert load(environ={**service, **others}).settings == Settings()


def test_every_setting_is_described() -> None:
    for key, setting in describe().items():
        assert setting.key == key
        assert setting.sentence.endswith("."), key
        assert setting.expected, key
        assert setting.env == "WORKER_" + key.replace(".", "__").upper()
    described = describe()
    assert described["kafka.session_timeout"].unit == "seconds"
    assert described["intake.max_bytes"].unit == "bytes"
    assert [key for key, setting in described.items() if setting.secret] == [
        "kafka.tls.key_password",
        "kafka.sasl.password",
        "kafka.sasl.client_secret",
        "http.tls.key_password",
    ]


def test_every_setting_can_be_set_to_its_default_from_everywhere(tmp_path: Path) -> None:
    defaults = dict(json.loads(Settings().model_dump_json()).items())
    path = tmp_path / "worker.json"  # JSON is YAML
    path.write_text(json.dumps(defaults))
    assert load(path, environ=NOTHING).settings == Settings()
    for setting in describe().values():
        if setting.default not in (None, ()):
            text = str(setting.default)
            assert load(environ={setting.env: text}).settings == Settings()
            assert load(overrides=[f"{setting.key}={text}"], environ={}).settings == Settings()
