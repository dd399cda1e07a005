"""`classify-worker models`: what it prints, where, and how it ends."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from tests.support.zoo_host import Host, make_archive
from worker.cli.models import models
from worker.cli.sizes import size_in_bytes
from worker.cli.transfer import Transfer
from worker.errors import ModelError
from worker.retry import Retry
from worker.zoo import download
from worker.zoo.pull import Pulled


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKER_MODEL_CACHE", str(tmp_path / "models"))
    monkeypatch.setenv("http_proxy", "")
    monkeypatch.setattr(download, "STALLED", Retry(0.0, 0.0, attempts=5))
    return tmp_path / "models"


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as running:
        yield running


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(models, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result


def rows(*arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run("list", "--json", *arguments).stdout)
    return found


def test_all_80_family_by_family() -> None:
    found = rows()
    assert len(found) == 80
    families = [row["family"] for row in found]
    assert families == sorted(families, key=families.index)


@pytest.mark.parametrize(
    ("order", "key", "best"),
    [
        ("accuracy", lambda row: -row["top1"], "CLIP_vit_large_patch14_224"),
        ("speed", lambda row: row["gpu_ms"], "MobileNetV1_x0_25"),
        ("size", lambda row: row["size"], "MobileNetV1_x0_25"),
    ],
)
def test_sorted_best_first(order: str, key: object, best: str) -> None:
    found = rows("--sort", order)
    assert found == sorted(found, key=key)  # type: ignore[call-overload]
    assert found[0]["name"] == best


def test_filters_go_together() -> None:
    found = rows("--family", "pp-lcnet", "--max-size", "6M")
    assert [row["name"] for row in found] == ["PP-LCNet_x0_25", "PP-LCNet_x0_35"]


def test_a_table_is_not_cut_where_there_is_no_terminal(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "PP-LCNet_x1_0").mkdir(parents=True)
    monkeypatch.setenv("COLUMNS", "40")
    result = CliRunner().invoke(models, ["list", "--sort", "accuracy"])
    lines = result.stdout.splitlines()
    (large,) = (line for line in lines if "large_patch4_window12_384" in line)
    assert large.split() == [
        "SwinTransformer_large_patch4_window12_384",
        "SwinTransformer",
        "87.06",
        "74.18",
        "2105.22",
        "696.1",
    ]
    (here,) = (line for line in lines if line.rstrip().endswith("yes"))
    assert here.split()[0] == "PP-LCNet_x1_0"


@pytest.mark.parametrize("columns", [80, 60, 40, 25])
def test_names_are_seen_on_a_narrow_terminal(columns: int) -> None:
    terminal = {"COLUMNS": str(columns), "FORCE_COLOR": "1", "TERM": "xterm"}
    result = CliRunner().invoke(models, ["list", "--family", "PP-LCNet"], env=terminal)
    assert "PP-LCNet_x2_5" in result.stdout


def test_a_size_as_it_is_published_is_no_larger_than_itself() -> None:
    (large,) = rows("--family", "CLIP_vit", "--max-size", "1.04G")[1:]
    assert large["name"] == "CLIP_vit_large_patch14_224"


def test_those_on_this_machine(cache: Path) -> None:
    assert rows("--local") == []
    (cache / "StarNet-S2").mkdir(parents=True)
    (row,) = rows("--local")
    assert (row["name"], row["directory"]) == ("StarNet-S2", str(cache / "StarNet-S2"))


def test_other_models_in_the_cache_are_named_below(cache: Path) -> None:
    for name in ("tuned", ".making-x", "StarNet-S2"):
        (cache / name).mkdir(parents=True)
        (cache / name / "inference.json").touch()
    (cache / "empty").mkdir()
    lines = run("list", "--local").stdout.splitlines()
    assert lines[-3:] == ["", f"Not published, but in {cache}:", "tuned"]
    assert "Not published" not in run("list", "--local", "--family", "StarNet").stdout
    assert [row["name"] for row in rows("--local")] == ["StarNet-S2"]


def test_one_model_shown() -> None:
    shown = json.loads(run("show", "FasterNet-L", "--json").stdout)
    assert shown["cpu_ms"] is None
    assert shown["interpolation"] == "pil bicubic"
    assert shown["archive"].endswith("/paddle3.0.0/FasterNet-L_infer.tar")
    assert shown["weights"].endswith("/FasterNet-L_pretrained.pdparams")
    text = run("show", "FasterNet-L").stdout
    assert [line.split()[0] for line in text.splitlines()] == list(shown)
    assert shown["archive"] in text
    assert shown["description"].startswith("Partial convolutions")
    assert shown["description"] in text


def test_a_description_is_wrapped_on_a_terminal() -> None:
    terminal = {"COLUMNS": "80", "FORCE_COLOR": "1", "TERM": "xterm"}
    text = CliRunner().invoke(models, ["show", "PP-LCNet_x1_0"], env=terminal).stdout
    lines = text.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("description"))
    wrapped = [lines[start], *(line for line in lines[start + 1 :] if line.startswith(" "))]
    assert len(wrapped) > 1
    assert max(map(len, wrapped)) <= 80
    # The room is used, and no word is split at its hyphens.
    assert min(map(len, wrapped[:-1])) > 65
    assert not any(line.endswith("-") for line in wrapped)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("show", "resnet-50"), "ResNet50"),
        (("pull", "PPLCNet_x1_0"), "PP-LCNet_x1_0"),
        (("list", "--family", "VGG"), "PP-LCNetV2"),
        (("list", "--max-size", "large"), "60M"),
        (("pull",), "--all"),
        (("pull", "--all", "ResNet50"), "--all"),
        (("list", "--sort", "beauty"), "accuracy"),
    ],
)
def test_wrong_usage_gets_advice(arguments: tuple[str, ...], advice: str) -> None:
    assert advice in run(*arguments, code=2).stderr


def test_models_are_pulled_and_one_that_fails_costs_itself_and_the_exit_code(
    host: Host, cache: Path
) -> None:
    for name in ("StarNet-S1", "ResNet18"):
        host.files[f"/{name}_infer.tar"] = make_archive(name)
    result = run("pull", "StarNet-S1", "ResNet34", "ResNet18", "--base-url", host.url, code=3)
    lines = result.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["StarNet-S1", "ResNet34", "ResNet18"]
    assert "recorded)" in lines[0]
    assert "answered 404" in lines[1]
    assert (cache / "ResNet18/inference.yml").exists()
    again = run("pull", "StarNet-S1", "--base-url", host.url)
    assert again.stderr == f"StarNet-S1: already in {cache / 'StarNet-S1'}\n"


def test_offline_by_a_setting(host: Host) -> None:
    result = run(
        "pull", "ResNet18", "-s", f"zoo.base_url={host.url}", "-s", "zoo.offline=1", code=3
    )
    assert "zoo.offline forbids" in result.stderr
    assert host.requests == []


def test_a_terminal_sees_a_bar_per_model() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with Transfer(2, console) as transfer:
        update = transfer.of("StarNet-S1")
        update(0, None)
        update(5 * 2**20, 10 * 2**20)
        transfer._progress.refresh()
        transfer.done("StarNet-S1", Pulled(Path("models/StarNet-S1"), "ab", known=True))
        transfer.of("ResNet18")
        transfer.failed("ResNet18", ModelError("no"))
    text = out.getvalue()
    assert "[1/2] StarNet-S1" in text
    assert "5.0/10.0 MiB" in text
    assert "StarNet-S1: in models/StarNet-S1 (sha256 ab verified)\n" in text
    assert "ResNet18: no\n" in text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("60M", 60 * 2**20),
        ("1.5G", 3 * 2**29),
        ("100 KiB", 102_400),
        ("2mb", 2 * 2**20),
        ("7", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("columns", [80, 60])
def test_no_name_is_broken_and_no_line_too_wide(columns: int) -> None:
    terminal = {"COLUMNS": str(columns), "FORCE_COLOR": "1", "TERM": "xterm"}
    shown = CliRunner().invoke(models, ["list"], env=terminal).stdout
    lines = shown.splitlines()
    assert {model["name"] for model in rows()} <= {line.split()[0] for line in lines}
    assert max(map(len, lines)) <= columns
