"""Settings from all their sources: who wins, what is refused, and what the refusal says."""

import json
import pickle
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr

from worker.configuration import Loaded, describe, load
from worker.errors import SettingsError
from worker.settings import Settings

NOTHING: Mapping[str, str] = {}


def from_env(**variables: str) -> Loaded:
    return load(environ={f"WORKER_{name}": value for name, value in variables.items()})


def from_file(tmp_path: Path, text: str | bytes) -> Loaded:
    path = tmp_path / "worker.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, environ=NOTHING)


def problems(
    config: Path | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = NOTHING,
) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(config, overrides, environ)
    head, *sentences = str(caught.value).splitlines()
    assert head == "the settings are wrong:"
    return [sentence.removeprefix("  ") for sentence in sentences]


def file_problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "worker.yaml"
    path.write_text(text)
    return [problem.replace(f"{tmp_path}/", "") for problem in problems(path)]


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


def test_a_secret_file_that_is_of_no_use(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"a\xff")
    (tmp_path / "large").write_bytes(b"x" * (64 * 1024 + 1))
    (tmp_path / "password").write_text("x")
    variable = "WORKER_KAFKA__SASL__PASSWORD"
    reasons = {
        "missing": "cannot be read: No such file or directory",
        "empty": "is empty",
        "binary": "is not UTF-8 (byte 1)",
        "large": "is larger than 65536 bytes",
    }
    for name, reason in reasons.items():
        path = tmp_path / name
        assert problems(environ={f"{variable}_FILE": str(path)}) == [
            f"{variable}_FILE: {path} {reason}"
        ]
    assert problems(environ={variable: "y", f"{variable}_FILE": str(tmp_path / "password")}) == [
        f"{variable} and {variable}_FILE are both set; unset one of them"
    ]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"WORKER_KAFKA__BOOTSTRAP_SERVER": "a:1"},
            (
                "unknown variable WORKER_KAFKA__BOOTSTRAP_SERVER; "
                "the nearest known one is WORKER_KAFKA__BOOTSTRAP_SERVERS"
            ),
        ),
        (
            {"WORKER_HTTP_PORT": "80"},
            "unknown variable WORKER_HTTP_PORT; the nearest known one is WORKER_HTTP__PORT",
        ),
        (
            {"WORKER_MODLE_FILE": "/x"},
            "unknown variable WORKER_MODLE_FILE; the nearest known one is WORKER_MODEL",
        ),
    ],
)
def test_unknown_variables(variables: Mapping[str, str], expected: str) -> None:
    assert problems(environ=variables) == [expected]


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "kafka:\n  group_idd: a\n",
            "worker.yaml:2: unknown key 'kafka.group_idd'; the nearest known key is kafka.group_id",
        ),
        (
            "kafka:\n  tsl:\n    ca_file: /x\n",
            "worker.yaml:2: unknown key 'kafka.tsl'; the nearest known key is kafka.tls",
        ),
        ("port: 80\n", "worker.yaml:1: unknown key 'port'; the nearest known key is http.port"),
        ("http.port: 80\n", "worker.yaml:1: write 'http.port' as nested mappings"),
        (
            "http:\n  port: 1\n  port: 2\n",
            "worker.yaml:3: http.port is given twice, first in line 2",
        ),
        (
            "http:\n  port: 1\nlog:\nhttp:\n  host: a\n",
            "worker.yaml:4: http is given twice, first in line 1",
        ),
        ("fetch: 3\n", "worker.yaml:1: fetch must be a mapping of settings"),
        ("- a\n", "worker.yaml:1: the file must be a mapping of settings"),
        (
            "http:\n\tport: 1\n",
            "worker.yaml is not YAML: found character '\\t' that cannot start any token in line 2",
        ),
        (
            "model: !!python/name:os.system ''\n",
            (
                "worker.yaml:1: model: could not determine a constructor for the tag "
                "'tag:yaml.org,2002:python/name:os.system' in line 1"
            ),
        ),
        (
            "model: 2024-99-99\n",
            "worker.yaml:1: model: month must be in 1..12",
        ),
        (
            "kafka:\n  jobs_topic: 5\n",
            "kafka.jobs_topic: 5 is not non-empty text (file worker.yaml:2)",
        ),
        ("model: null\n", "model: None is not non-empty text (file worker.yaml:1)"),
    ],
)
def test_what_is_wrong_with_a_file_and_in_which_line(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert file_problems(tmp_path, text) == [expected]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    assert problems(missing) == [f"{missing} cannot be read: No such file or directory"]
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: \xff")
    assert problems(binary) == [f"{binary} is not UTF-8 (byte 3)"]
    control = tmp_path / "control.yaml"
    control.write_bytes(b"a: \x00")
    (problem,) = problems(control)
    assert problem.startswith(f"{control} is not YAML: unacceptable character #x0000")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("http", "command line: 'http' is not key=value"),
        ("http=1", "command line: http is a group of settings; name one, as http.name=..."),
        (
            "http.prot=1",
            "command line: unknown key 'http.prot'; the nearest known key is http.port",
        ),
        (
            "http.port=70000",
            "http.port: 70000 is not a whole number from 0 up to 65535 (command line)",
        ),
        (
            "kafka.session_timeout=soon",
            (
                "kafka.session_timeout: 'soon' is not a number above 0 up to 86400 (seconds) "
                "(command line)"
            ),
        ),
        (
            "kafka.session_timeout=.nan",
            (
                "kafka.session_timeout: nan is not a number above 0 up to 86400 (seconds) "
                "(command line)"
            ),
        ),
        (
            "kafka.drain_share=1",
            "kafka.drain_share: 1 is not a number above 0 below 1 (command line)",
        ),
        (
            "log.format=xml",
            "log.format: 'xml' is not one of console, json (command line)",
        ),
        (
            "picture.enabled=maybe",
            "picture.enabled: 'maybe' is not true or false (command line)",
        ),
        (
            "intake.max_jobs={",
            "intake.max_jobs: '{' is not a whole number from 1 up to 1000000 (command line)",
        ),
        (
            "fetch.allow_networks=10.0.0.1/8",
            "fetch.allow_networks: 10.0.0.1/8 has host bits set (command line)",
        ),
        (
            "fetch.allow_networks=7",
            "fetch.allow_networks: 7 is not a list of networks such as 10.0.0.0/8 (command line)",
        ),
        (
            "fetch.allow_networks='[10.0.0.0/8'",
            (
                "fetch.allow_networks: '[10.0.0.0/8' is not a list of networks such as 10.0.0.0/8 "
                "(command line)"
            ),
        ),
        (
            "kafka.bootstrap_servers=kafka:9092,other",
            "kafka.bootstrap_servers: 'other' is not host:port (command line)",
        ),
        (
            "device=tpu",
            "device: not a device; use cpu, gpu:0, gpu:0,1, npu:0, xpu:0 or mlu:0 (command line)",
        ),
        (
            "kafka.group_id=''",
            "kafka.group_id: '' is not non-empty text (command line)",
        ),
    ],
)
def test_wrong_values_name_key_source_and_what_is_expected(override: str, expected: str) -> None:
    assert problems(overrides=[override]) == [expected]


def test_wrong_secrets_are_not_shown(tmp_path: Path) -> None:
    sentences = file_problems(tmp_path, "kafka:\n  sasl:\n    password: [hunter2]\n")
    assert sentences == [
        "kafka.sasl.password: this secret is not text, or null (file worker.yaml:3)"
    ]


def test_long_wrong_values_are_cut() -> None:
    (sentence,) = problems(environ={"WORKER_LOG__LEVEL": "x" * 5000})
    assert len(sentence) < 250


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["kafka.heartbeat_interval=11"],
            (
                "kafka: heartbeat_interval must be at most a third of session_timeout "
                "(kafka.heartbeat_interval from command line)"
            ),
        ),
        (
            ["kafka.jobs_topic=t", "kafka.results_topic=t"],
            (
                "kafka: jobs_topic, results_topic and dead_letters_topic must differ: "
                "results would come back as jobs "
                "(kafka.jobs_topic from command line, kafka.results_topic from command line)"
            ),
        ),
        (
            ["kafka.tls.cert_file=/c"],
            (
                "kafka.tls: mutual TLS needs both cert_file and key_file "
                "(kafka.tls.cert_file from command line)"
            ),
        ),
        (
            ["kafka.security_protocol=SASL_SSL", "kafka.sasl.mechanism=SCRAM-SHA-512"],
            "kafka: SCRAM-SHA-512 needs sasl.username and sasl.password",
        ),
        (
            ["kafka.sasl.mechanism=OAUTHBEARER"],
            "kafka.sasl: OAUTHBEARER needs either token_file or token_endpoint",
        ),
        (
            ["kafka.sasl.mechanism=OAUTHBEARER", "kafka.sasl.token_endpoint=https://t"],
            (
                "kafka.sasl: token_endpoint needs client_id and client_secret "
                "(kafka.sasl.token_endpoint from command line)"
            ),
        ),
        (
            ["fetch.backoff_initial=9"],
            (
                "fetch: backoff_initial must be at most backoff_max "
                "(fetch.backoff_initial from command line)"
            ),
        ),
    ],
)
def test_settings_that_do_not_go_together(overrides: Sequence[str], expected: str) -> None:
    assert problems(overrides=overrides) == [expected]


def test_an_exact_third_is_at_most_a_third() -> None:
    load(overrides=["kafka.heartbeat_interval=0.3", "kafka.session_timeout=0.9"], environ=NOTHING)


def test_all_problems_of_all_sources_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "worker.yaml"
    path.write_text("kafak:\n  a: 1\nhttp:\n  port: -1\n")
    sentences = problems(path, ["log.level=loud", "x=1"], {"WORKER_X": "1", "WORKER_DEVICE": "t"})
    assert [sentence.split(":")[0].split(" ")[0] for sentence in sentences] == [
        "command",
        "unknown",
        str(path),
        "device",
        "http.port",
        "log.level",
    ]


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
