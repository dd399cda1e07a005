"""Comparing the worker with its peers, and making their environments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from benchmarks.peers import environments, over_http, peer_process
from benchmarks.peers.__main__ import PEER_OF, WAYS
from benchmarks.peers.agreement import DisagreementError, check_agreement
from benchmarks.peers.aims import AIMS, AIMS_MODEL
from benchmarks.peers.bare_services import sharings
from benchmarks.peers.comparison import (
    FIGURES,
    RATIOS,
    WORKER,
    compare,
    figure_rows,
    in_rounds,
    in_turn,
    ratio_rows,
    tables,
)
from benchmarks.peers.limit import APART, LIMIT, LIMITS
from benchmarks.peers.model import PADDLEX_NAME, share_model, write_pipeline
from benchmarks.peers.publish import as_markdown, replace_figures
from worker.bench.measurement import Measurement

pytestmark = pytest.mark.component

NORMALIZE = {"NormalizeImage": {"mean": [0.5], "std": [0.5]}}


def measured(
    name: str, number: int, rate: float, cpu: float, *, load: str = "Kafka", pictures: bool = False
) -> Measurement:
    return Measurement(name, "network", pictures, rate, cpu, {"load": load, "round": number})


def test_a_round_goes_back_where_the_last_one_came_from() -> None:
    names = ["worker", "plain", "FastStream"]
    assert [in_turn(names, number) for number in range(3)] == [
        ["worker", "plain", "FastStream"],
        ["FastStream", "plain", "worker"],
        ["worker", "plain", "FastStream"],
    ]


def test_each_round_has_every_load() -> None:
    ordered = list(in_rounds(2, [8, 1], ["worker", "plain"]))
    assert ordered == [
        *((0, 8, "worker"), (0, 8, "plain"), (0, 1, "worker"), (0, 1, "plain")),
        *((1, 8, "plain"), (1, 8, "worker"), (1, 1, "plain"), (1, 1, "worker")),
    ]


def test_ratios_are_those_of_the_same_round() -> None:
    # The machine is half as fast in the second round: ratios of medians would not be 2 and 0.5.
    figures = [
        measured("worker auto", 0, 200, 5),
        measured("plain", 0, 100, 10),
        measured("plain", 1, 50, 20),
        measured("worker auto", 1, 100, 10),
        measured("worker auto", 2, 300, 10),
        measured("plain", 2, 100, 10),
    ]
    (ratio,) = compare(figures)
    assert (ratio.worker, ratio.peer, ratio.pairs) == ("worker auto", "plain", 3)
    assert ratio.load == "Kafka, without pictures"
    assert ratio.rate == (2.0, 2.0, 3.0)
    assert ratio.cpu == (0.5, 0.5, 1.0)


def test_only_equal_loads_are_compared() -> None:
    figures = [
        measured("worker paddle", 0, 200, 5),
        measured("plain", 0, 100, 10, pictures=True),
        measured("plain", 0, 100, 10, load="HTTP"),
        measured("plain", 1, 100, 10),
    ]
    assert compare(figures) == []


def test_each_kind_of_worker_is_compared_with_each_peer() -> None:
    names = ["worker paddle", "worker auto", "plain", "FastStream"]
    ratios = compare([measured(name, 0, 100, 10) for name in names])
    assert {(ratio.worker, ratio.peer) for ratio in ratios} == {
        (worker, peer) for worker in names[:2] for peer in names[2:]
    }


@pytest.mark.parametrize(
    ("model", "rate", "cpu", "aim"),
    [
        (AIMS_MODEL, 190, 4.2, "images/s 1.9, CPU 0.42: reached"),
        (AIMS_MODEL, 189, 4.2, "images/s 1.9, CPU 0.42: missed"),
        (AIMS_MODEL, 190, 4.3, "images/s 1.9, CPU 0.42: missed"),
        ("another", 190, 4.2, ""),
    ],
)
def test_a_ratio_says_whether_it_is_what_it_is_meant_to_be(
    model: str, rate: float, cpu: float, aim: str
) -> None:
    figures = [
        replace(measured("worker auto", 0, rate, cpu, pictures=True), model=model),
        replace(measured("plain consumer", 0, 100, 10, pictures=True), model=model),
    ]
    (ratio,) = compare(figures)
    assert ratio.aim == aim


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize(("cpu", "aim"), [(4.2, "within"), (4.3, "beyond")])
def test_what_a_limit_itself_would_miss_is_beyond_it(name: str, cpu: float, aim: str) -> None:
    limit = replace(measured(name, 0, 1, cpu, pictures=True), images_per_second=None)
    figures = [
        replace(limit, model=AIMS_MODEL),
        replace(measured("plain consumer", 0, 100, 10, pictures=True), model=AIMS_MODEL),
    ]
    (ratio,) = compare(figures)
    assert (ratio.worker, ratio.rate, ratio.cpu[0]) == (name, None, cpu / 10)
    assert ratio.aim == f"images/s 1.9, CPU 0.42: {aim} the limit"
    shown, ratios = tables(figures)
    assert (shown.row_count, ratios.row_count) == (2, 1)


def test_the_worker_is_not_compared_with_a_limit_as_with_a_peer() -> None:
    names = ["worker auto", *LIMITS, "plain"]
    ratios = compare([measured(name, 0, 100, 10) for name in names])
    assert {(ratio.worker, ratio.peer) for ratio in ratios} == {
        ("worker auto", "plain"),
        (LIMIT, "plain"),
        (APART, "plain"),
    }


def test_latencies_of_one_load_are_compared_and_others_have_none() -> None:
    def light(name: str, number: int, p50: float, p99: float) -> Measurement:
        details = {"load": "Kafka, light", "round": number, "latency_ms": {"p50": p50, "p99": p99}}
        return Measurement(name, "network", ms_cpu_per_image=8.0, details=details)

    figures = [
        *(light("worker auto", 0, 10.0, 20.0), light("plain", 0, 20.0, 80.0)),
        *(light("plain", 1, 20.0, 60.0), light("worker auto", 1, 12.0, 30.0)),
        *(measured("worker auto", 0, 200, 5), measured("plain", 0, 100, 10)),
    ]
    slow, full = compare(figures)
    assert slow.rate is None
    assert slow.latencies == ((0.55, 0.5, 0.6), (0.375, 0.25, 0.5))
    assert full.latencies == (None, None)
    shown = [dict(zip(FIGURES, row, strict=True)) for row in figure_rows(figures)]
    assert [(each["p50 ms"], each["p99 ms"]) for each in shown] == [
        *(("11.0", "25.0"), ("20.0", "70.0")),
        *(("", ""), ("", "")),
    ]
    row, _ = ratio_rows(figures)
    cells = dict(zip(RATIOS, row, strict=True))
    assert (cells["p50"], cells["images/s"]) == ("0.55 (0.50 to 0.60)", "")


def test_aims_are_about_what_is_measured() -> None:
    clients = [f"HTTP, {n} client{'s' if n > 1 else ''}" for n in over_http.CLIENTS]
    loads = {
        f"{load}, {pictures} pictures"
        for load in ("Kafka", *clients)
        for pictures in ("with", "without")
    }
    assert {load for _, load in AIMS} <= loads
    assert {peer for peer, _ in AIMS} <= PEER_OF.keys()


def test_no_predictor_waits_for_a_batch_that_clients_cannot_fill() -> None:
    tried = list(sharings(["onnxruntime"], 8, 2))
    assert {str(each.contender.layout) for each in tried} == {"1x2", "2x1"}
    for each in tried:
        # All but one image of a batch in each of them, and one more.
        held = each.contender.layout.processes * (each.least - 1)
        assert held < 8
        assert each.least <= each.contender.batch
    # What is there is taken, and batches are fixed.
    assert {each.least == each.contender.batch for each in tried} == {True, False}


def test_for_one_client_no_predictor_has_more_than_its_image() -> None:
    tried = list(sharings(["onnxruntime"], 1, 2))
    assert {str(each.contender.layout) for each in tried} == {"1x2", "2x1"}
    assert {(each.least, each.contender.batch) for each in tried} == {(1, 1)}


def test_the_tables_have_a_row_for_each_program_and_each_ratio() -> None:
    names = ["worker paddle", "worker auto", "plain"]
    figures, ratios = tables([measured(name, n, 100, 10) for name in names for n in range(2)])
    assert (figures.row_count, ratios.row_count) == (3, 2)


def test_figures_are_published_between_their_markers() -> None:
    run = {
        "machine": {
            "processor": "A CPU",
            "cores": 2,
            "python": "3.11.1",
            "load_average": [1.0, 2.0, 3.0],
        },
        "measurements": [
            measured(name, 0, rate, 10).as_json()
            for name, rate in (("worker auto", 300), ("p", 200))
        ],
    }
    text = "before\n<!-- peers -->\nold\n<!-- end of peers -->\nafter\n"
    written = replace_figures(text, as_markdown([run]))
    assert "old" not in written
    assert written.startswith("before\n<!-- peers -->\n\nA CPU, 2 cores")
    assert written.endswith("|\n\n<!-- end of peers -->\nafter\n")
    assert "| worker auto | p | Kafka, without pictures | 1.50 (1.50 to 1.50) |" in written
    assert replace_figures(written, as_markdown([run])) == written
    with pytest.raises(ValueError, match="peers"):
        replace_figures("no markers", "figures")


def test_equal_answers_agree() -> None:
    answers = {"worker": {"cat": 1, "dog": 2}, "plain": {"dog": 2, "cat": 1}}
    assert "2 photographs" in check_agreement(answers)


@pytest.mark.parametrize("theirs", [{"cat": 1, "dog": 3}, {"cat": 1}])
def test_another_answer_is_named(theirs: dict[str, int]) -> None:
    with pytest.raises(DisagreementError, match=r"worker and plain answer differently: dog$"):
        check_agreement({"worker": {"cat": 1, "dog": 2}, "plain": theirs})


def test_a_model_is_shared_under_a_name_that_paddlex_knows(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "inference.json").write_text("{}")
    described = {
        "Global": {"model_name": "mine"},
        "PreProcess": {"transform_ops": [NORMALIZE]},
        "PostProcess": {"Topk": {"topk": 3}},
    }
    (model / "inference.yml").write_text(yaml.safe_dump(described))
    shared = share_model(model, tmp_path / "shared")
    written = yaml.safe_load((shared / "inference.yml").read_text())
    assert written["Global"]["model_name"] == PADDLEX_NAME
    assert written["PreProcess"] == described["PreProcess"]
    assert len(written["PostProcess"]["Topk"].pop("label_list")) == 1000
    assert written["PostProcess"] == described["PostProcess"]
    assert (shared / "inference.json").read_text() == "{}"
    pipeline = yaml.safe_load(write_pipeline(shared, tmp_path / "pipeline.yaml").read_text())
    assert pipeline["SubModules"]["ImageClassification"]["model_dir"] == str(shared)


def test_labels_that_a_model_has_stay(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    described = {"Global": {}, "PostProcess": {"Topk": {"topk": 1, "label_list": ["a", "b"]}}}
    (model / "inference.yml").write_text(yaml.safe_dump(described))
    written = yaml.safe_load((share_model(model, tmp_path / "s") / "inference.yml").read_text())
    assert written["PostProcess"]["Topk"]["label_list"] == ["a", "b"]


def test_an_environment_is_made_once_and_again_when_its_lock_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    commands: list[list[str]] = []

    def run(command: list[str], **_options: object) -> None:
        commands.append(command)
        (tmp_path / "cache/peers/plain").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr("benchmarks.peers.environments.subprocess.run", run)
    lock = tmp_path / "plain.txt"
    lock.write_text("one==1\n")
    python = environments.prepare_environment("plain", tmp_path / "cache")
    assert python == tmp_path / "cache/peers/plain/bin/python"
    assert len(commands) == 2
    assert {"--require-hashes", str(lock)} <= set(commands[1])
    assert environments.prepare_environment("plain", tmp_path / "cache") == python
    assert len(commands) == 2
    lock.write_text("one==2\n")
    environments.prepare_environment("plain", tmp_path / "cache")
    assert len(commands) == 4


def test_a_python_that_is_too_new_for_a_peer_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.peers.environments.NEWEST", {"paddlex": (3, 10)})
    with pytest.raises(environments.UnsupportedPythonError, match="--ways kafka"):
        environments.prepare_environment("paddlex", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_program_has_an_environment() -> None:
    named = {name for names in WAYS.values() for name in names if not name.startswith(WORKER)}
    assert named - set(LIMITS) == PEER_OF.keys()
    assert set(PEER_OF.values()) == set(environments.PEERS)


def test_every_peer_has_a_lock() -> None:
    locks = {path.stem for path in environments.REQUIREMENTS.glob("*.txt")}
    assert locks == set(environments.PEERS)


def test_paddlex_is_given_what_it_would_download(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    with pytest.raises(FileNotFoundError, match="font"):
        peer_process.paddlex_environment(python, tmp_path / "cache")
    fonts = tmp_path / "lib/python3.11/site-packages/matplotlib/mpl-data/fonts/ttf"
    fonts.mkdir(parents=True)
    (fonts / "DejaVuSans.ttf").touch()
    environ = peer_process.paddlex_environment(python, tmp_path / "cache")
    assert environ["PADDLE_PDX_LOCAL_FONT_FILE_PATH"] == str(fonts / "DejaVuSans.ttf")
    assert environ["PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK"] == "True"
