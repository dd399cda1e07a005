from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from demo import model
from demo.errors import DemoError
from demo.model import MODEL_NAME, prepare_model
from worker.model import load_model_spec


def test_the_directory_is_a_model_of_1000_named_classes(model_dir: Path) -> None:
    spec = load_model_spec(model_dir)

    assert spec.name == MODEL_NAME
    assert spec.input_size == (224, 224)
    assert spec.top_k == 5
    assert len(spec.labels) == 1000
    assert spec.labels[282] == "tiger cat"


def test_the_module_prints_the_directory_and_nothing_else(model_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.model"], capture_output=True, timeout=60, check=True
    )
    assert done.stdout.decode() == f"{model_dir}\n"


def test_a_prepared_model_is_used_as_it_is(model_dir: Path) -> None:
    before = model_dir.stat().st_mtime_ns

    assert prepare_model(model_dir.parent.parent) == model_dir
    assert model_dir.stat().st_mtime_ns == before


def test_two_processes_at_once_make_one_whole_model(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from demo.model import prepare_model\n"
        "sys.stdin.read(1); print(prepare_model(Path(sys.argv[1])))"
    )
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("\n")
        maker.stdin.flush()
    directories = {maker.communicate(timeout=120)[0].strip() for maker in makers}

    (directory,) = directories
    load_model_spec(Path(directory))
    assert [entry.name for entry in (tmp_path / "models").iterdir()] == [Path(directory).name]


def test_a_model_that_another_process_finished_first_stays(
    monkeypatch: pytest.MonkeyPatch, model_dir: Path, tmp_path: Path
) -> None:
    rival = tmp_path / "models" / model_dir.name

    def export(directory: Path) -> None:
        for made in (directory, rival):
            made.mkdir()
            (made / "inference.yml").write_text(f"by {made.parent.name}")

    monkeypatch.setattr(model, "_export", export)

    assert prepare_model(tmp_path) == rival
    assert (rival / "inference.yml").read_text() == "by models"
    assert list((tmp_path / "models").iterdir()) == [rival]


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(model, "_WEIGHTS_SHA256", "0" * 64)

    with pytest.raises(DemoError, match="not the file that was pinned"):
        prepare_model(tmp_path)

    assert list((tmp_path / "models").iterdir()) == []
