"""What is wrong with settings is said all at once, each with its place and its remedy."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.yaml_bombs import bomb
from worker.errors import SettingsError
from worker.settings.sources import load

NOTHING: Mapping[str, str] = {}


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
        ("http:\n  infer: !!bool q\n", "worker.yaml:2: http.infer: no such value"),
        ("http:\n  port: !!int ''\n", "worker.yaml:2: http.port: no such value"),
        (
            f"http:\n  port: 1{':59' * 3000}\n",
            "worker.yaml:2: http.port: a number of more than 100 characters",
        ),
        (
            f"http:\n  port: 1{':59' * 300}.5\n",
            "worker.yaml:2: http.port: a number of more than 100 characters",
        ),
        (
            f"fetch:\n  allow_networks: {'[' * 5000}{']' * 5000}\n",
            "worker.yaml is nested too deeply",
        ),
        (
            f"fetch:\n  allow_networks: {bomb('[{}]')}\n",
            "worker.yaml has more than 1000000 values and characters, aliases replaced",
        ),
        (
            f"fetch:\n  allow_networks: {bomb('{{<<: [{}]}}')}\n",
            "worker.yaml has more than 1000000 values and characters, aliases replaced",
        ),
        (
            f"fetch:\n  allow_networks: [&a {'x' * 1000}{', *a' * 1000}]\n",
            "worker.yaml has more than 1000000 values and characters, aliases replaced",
        ),
        ("# x\n" * 70_000, "worker.yaml is larger than 256 KiB"),
        (
            "fetch:\n  allow_networks: &a [*a]\n",
            "worker.yaml:2: fetch.allow_networks: found unconstructable recursive node in line 2",
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
    load(overrides=["kafka.heartbeat_interval=0.1", "kafka.session_timeout=0.3"], environ=NOTHING)


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


ADDRESS = "https://me:canary@host?key=canary"


@pytest.mark.parametrize(
    "override",
    [
        "kafka.sasl.password canary",
        "kafka.sasl.password:canary",
        "canary",
        "kafka.sasl=canary",
        "kafka.sasl.pasword=canary",
        "kafka.bootstrap_servers=me:canary@broker:9092",
        "kafka.bootstrap_servers=canary@broker:9092",
        "kafka.sasl.token_endpoint=me:canary@host",
        "kafka.sasl.token_endpoint=https://me:can/canary@host",
        "kafka.sasl.token_endpoint=https://host/token#canary",
        f"zoo.base_url={ADDRESS}",
        "zoo.base_url=https://me:canary@",
        f"http.port={ADDRESS}",
        f"fetch.trust_env={ADDRESS}",
        f"log.level={ADDRESS}",
    ],
)
def test_what_is_wrong_is_said_without_the_secret_in_it(override: str) -> None:
    (problem,) = problems(overrides=[override])
    assert "canary" not in problem
    key, equals, _ = override.partition("=")
    if equals or " " in key:
        assert key.partition(" ")[0] in problem


@pytest.mark.parametrize(
    "value",
    [
        "!canary",
        "*canary",
        "&a *canary",
        "!!int canary",
        "!!bool canary",
        "!!timestamp canary",
        "%canary",
    ],
)
def test_a_password_that_yaml_takes_for_something_else_is_not_shown(
    tmp_path: Path, value: str
) -> None:
    text = f"kafka:\n  sasl:\n    username: me\n    password: {value}\n"
    (problem,) = file_problems(tmp_path, text)
    assert "canary" not in problem
    assert "4" in problem
