"""Help in narrow terminals: every name is whole, and examples can be copied."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from worker.cli.commands import app
from worker.cli.help import UsageError, canonical_name, usage_error_text

COMMANDS = {
    "": (),
    "run": ("run",),
    "serve": ("serve",),
    "submit": ("submit",),
    "predict": ("predict",),
    "bench": ("bench",),
    "config": ("config",),
    "doctor": ("doctor",),
    "health": ("health",),
    "models": ("models",),
    "models list": ("models", "list"),
    "models show": ("models", "show"),
    "models pull": ("models", "pull"),
}
WITH_EXAMPLES = [name for name in COMMANDS if name not in {"", "models"}]


def found(names: tuple[str, ...]) -> Any:
    command: Any = typer.main.get_command(app)
    for name in names:
        command = command.commands[name]
    return command


def shown(names: tuple[str, ...], columns: int) -> str:
    done = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize(
    ("arguments", "option", "said"),
    [
        (
            ["evaluate", "--model", "x", "--data", "y", "--split", "tset"],
            "--split",
            "'tset' is not one of 'test', 'val', 'train', 'all'. Did you mean 'test'?",
        ),
        (
            ["models", "export", "x", "--format", "onix"],
            "--format",
            "'onix' is not one of 'onnx', 'openvino', 'ncnn'. Did you mean 'onnx'?",
        ),
        (
            ["submit", "--as", "pigeon", "x"],
            "--as",
            "'pigeon' is not one of 'base64', 'raw', 'url'.",
        ),
    ],
)
def test_an_unknown_choice_is_told_with_the_nearest_one(
    arguments: list[str], option: str, said: str
) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    last = done.output.splitlines()[-1]
    assert last.startswith(f"Error: Invalid value for '{option}'")
    assert last.endswith(f": {said}")
    assert "Value error" not in last


@pytest.mark.parametrize("width", [80, 60, 40])
@pytest.mark.parametrize(
    ("arguments", "last"),
    [
        (["predict"], "as in classify-worker predict cat.jpg"),
        (["predict", "--modell", "x", "cat.jpg"], "(Possible options: --model)"),
        (["submit", "--as", "pigeon", "cat.jpg"], "is not one of 'base64', 'raw', 'url'."),
        (["predcit"], "Did you mean 'predict'?"),
        (["--nope"], "No such option: --nope"),
    ],
)
def test_errors_of_usage_are_wrapped_between_words(
    arguments: list[str], last: str, width: int
) -> None:
    with pytest.raises(UsageError) as raised:
        found(()).main(arguments, "classify-worker", standalone_mode=False)
    text = usage_error_text(raised.value, width)
    assert max(map(len, text.splitlines())) <= width
    assert " ".join(text.split()).endswith(last)
    assert text.startswith("Usage: classify-worker")
    assert text.endswith("\n")


@pytest.mark.parametrize("columns", [80, 60, 40])
@pytest.mark.parametrize("names", COMMANDS.values(), ids=COMMANDS.keys())
def test_every_option_name_and_metavar_is_whole(names: tuple[str, ...], columns: int) -> None:
    text = shown(names, columns)
    # The names that are at the beginning of a line: those in descriptions could hide one.
    heads = "\n".join(line for line in text.splitlines() if re.match(r"  \S", line))
    for param in found(names).params:
        for name in (*param.opts, *param.secondary_opts):
            if name.startswith("-"):
                assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", heads), name
        if param.metavar is not None:
            assert re.search(rf"(?<!\w){re.escape(param.metavar)}(?!\w)", heads), param.metavar
    assert "…" not in text


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("names", COMMANDS.values(), ids=COMMANDS.keys())
def test_no_line_is_wider_than_the_terminal(names: tuple[str, ...], columns: int) -> None:
    assert max(map(len, shown(names, columns).splitlines())) <= columns


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("names", COMMANDS.values(), ids=COMMANDS.keys())
def test_no_option_is_broken_at_its_hyphens(names: tuple[str, ...], columns: int) -> None:
    assert not any(re.search(r"\w-$", line) for line in shown(names, columns).splitlines())


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_each_command_has_an_example_in_one_line_that_is_understood(name: str) -> None:
    lines = [line.strip() for line in shown(COMMANDS[name], 60).splitlines()]
    called = f"classify-worker {name} "
    examples = [line for line in lines if called in line and not line.startswith("Usage:")]
    assert examples
    for example in examples:
        _, _, given = example.rpartition(called)
        found(COMMANDS[name]).make_context(name, shlex.split(given))


@pytest.mark.parametrize("name", ["predict", "submit"])
def test_options_are_in_groups(name: str) -> None:
    titles = re.findall(r"^(\w+):$", shown((name,), 80), re.MULTILINE)
    assert [title for title in titles if title in {"Input", "Output", "Options"}] == [
        "Input",
        "Output",
        "Options",
    ]
    assert titles[-1] == "Options"


def test_arguments_are_called_alike_in_usage_and_list() -> None:
    assert "Usage: classify-worker models show [OPTIONS] NAME\n" in shown(("models", "show"), 80)


def test_the_list_of_commands_says_what_each_is_for() -> None:
    text = " ".join(shown((), 60).split())
    assert "predict Classify images on this machine, without Kafka." in text


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("topk", "top-k"),
        ("save_path", "save-dir"),
        ("save-path", "save-dir"),
        ("batch_size", "batch-size"),
        ("use_hpip", "use-hpip"),
        ("no_use_hpip", "no-use-hpip"),
        ("model", "model"),
    ],
)
def test_paddlexs_names(given: str, name: str) -> None:
    assert canonical_name(given) == name


def test_commands_share_the_names_of_their_options() -> None:
    def options(name: str) -> set[str]:
        return {option for param in found((name,)).params for option in param.opts}

    shared = {"--config", "--set", "--top-k"}
    assert shared | {"--model", "--device", "--batch-size"} <= options("predict")
    for name in ("run", "serve"):
        assert shared | {"--model", "--device", "--batch-size", "--port"} <= options(name)
    for name in ("predict", "submit"):
        assert shared | {"--save-dir", "--format", "--output", "--input"} <= options(name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "my photos", "--model", "M", "--save-dir", "out"], "--data 'my photos'?"),
        (["dataset", "photos"], "Did you mean 'classify-worker dataset check photos'?"),
        (["dataset", "chek", "photos"], "Did you mean 'check'?"),
    ],
)
def test_what_was_likely_meant_is_said(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, arguments, prog_name="classify-worker")
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


@pytest.mark.parametrize("arguments", [["--data", "a", "b"], ["a", "b"]])
def test_what_was_meant_is_not_guessed_where_it_cannot_be_known(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["train", *arguments, "--save-dir", "out"])
    assert "unexpected extra argument" in done.output
    assert "did you mean" not in done.output
