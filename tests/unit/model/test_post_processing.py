"""Labels, and the three rules by which PaddleX answers; everything else is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.model_files import CROP, document, load, refused, write
from worker.errors import ModelError
from worker.model import EVERY, AllAbove, BestAbove, BestOnes, ModelSpec, load_model_spec


def post(**rules: Any) -> dict[str, Any]:
    return document(CROP) | {"PostProcess": rules}


def labelled(*lines: str) -> str:
    """A configuration with a label list of these lines."""
    items = "\n".join(f"    - {line}" for line in lines)
    return f"""\
PreProcess:
  transform_ops:
  - CropImage: {{size: 8}}
  - ToCHWImage:
PostProcess:
  Topk:
    topk: 3
    label_list:
{items}
"""


def test_labels_stay_as_they_are_written(tmp_path: Path) -> None:
    written = (
        *("yes", "no", "on", "Off", "true", "12:30", "1", "007", "1.10", "1e3", "0x1F", "1_000"),
        *("2024-01-01", "2024-99-99", "null", "~", ".nan", "a b, c", "=", "naïve", "猫", "<<"),
    )
    assert load(tmp_path, labelled(*written)).labels == written
    quoted = ("'no'", '"12:30"', "!!str 5", '"\\u732b"', "''", "  padded  ", '"a\\tb"')
    assert load(tmp_path, labelled(*quoted)).labels == (
        *("no", "12:30", "5", "猫", "", "padded", "a\tb"),
    )


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("1.10", "1.10"),
        ("no", "no"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("null", "model"),
        ("~", "model"),
        ("", "model"),
        ("'null'", "null"),
        ("猫", "猫"),
    ],
)
def test_the_models_name_stays_as_it_is_written(tmp_path: Path, given: str, name: str) -> None:
    assert load(tmp_path, f"Global:\n  model_name: {given}\n{labelled('a')}").name == name


@pytest.mark.parametrize(
    ("name", "shown"), [(b"caf\xe9", "caf�"), (b"a\nb", "a�b"), ("猫".encode(), "猫")]
)
def test_a_directorys_name_becomes_text_that_results_can_hold(
    tmp_path: Path, name: bytes, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write(tmp_path / name.decode(errors="surrogateescape"), labelled("a"))
    assert load_model_spec(directory).name == shown
    monkeypatch.chdir(directory)
    assert load_model_spec(Path()).name == shown


@pytest.mark.parametrize(
    ("config", "line", "reason"),
    [
        (f'Global: {{model_name: "bad\\ud800"}}\n{labelled("a")}', 1, "invalid Unicode character"),
        (f'Global: {{model_name: "a\\x07b"}}\n{labelled("a")}', 1, "control character U+0007"),
        (f"Global: {{model_name: {'x' * 1025}}}\n{labelled('a')}", 1, "is longer than 1024"),
        (f"Global: {{model_name: ' '}}\n{labelled('a')}", 1, "model_name is empty"),
        (labelled("a", '"bad\\ud800"'), 10, "invalid Unicode character"),
        (labelled("a", '"\\0"'), 10, "label 1 of label_list is not Unicode text of one line"),
        (labelled("a", '"two\\nlines"'), 10, "the control character U+000A"),
        (labelled("a", "x" * 1025), 10, "label 1 of label_list is longer than 1024 characters"),
        (labelled("a", "{b: c}"), 10, "label_list must be a list of labels, each one text"),
    ],
)
def test_text_that_no_result_could_hold_is_refused_with_its_line(
    tmp_path: Path, config: str, line: int, reason: str
) -> None:
    found = refused(tmp_path, config)
    assert reason in found
    assert found.startswith(f"{tmp_path}/model/inference.yml:{line}: ")


@pytest.mark.parametrize(
    ("rules", "top_k", "labels", "rule"),
    [
        ({}, 5, (), BestOnes()),
        ({"Topk": None}, 5, (), BestOnes()),
        ({"main_indicator": "Topk", "Topk": {"topk": 2}}, 2, (), BestOnes()),
        ({"ThreshOutput": {"threshold": 0.9}}, 1, (), BestAbove(0.9)),
        (
            {"ThreshOutput": {"threshold": 0.5, "label_0": "nobody", "label_1": "someone"}},
            1,
            ("nobody", "someone"),
            BestAbove(0.5),
        ),
        ({"ThreshOutput": {"threshold": 1, "label_1": "x"}}, 1, ("0", "x"), BestAbove(1.0)),
        (
            {
                "ThreshOutput": {
                    "threshold": 0.2,
                    "default_label_index": 2,
                    "label_list": ["a", "b", "c"],
                }
            },
            1,
            ("a", "b", "c"),
            BestAbove(0.2, 2),
        ),
        ({"MultiLabelThreshOutput": None}, EVERY, (), AllAbove()),
        (
            {
                "main_indicator": "MultiLabelThreshOutput",
                "MultiLabelThreshOutput": {"threshold": 0.4, "label_list": ["sky", "sea"]},
            },
            EVERY,
            ("sky", "sea"),
            AllAbove(0.4),
        ),
        (
            {"MultiLabelThreshOutput": {"threshold": {"default": 0.5, 1: 0.1, "3": 1}}},
            EVERY,
            (),
            AllAbove(0.5, {1: 0.1, 3: 1.0}),
        ),
        (
            {"MultiLabelThreshOutput": {"threshold": [0.1, 0.2]}},
            EVERY,
            (),
            AllAbove(0.5, {0: 0.1, 1: 0.2}, 2),
        ),
    ],
)
def test_rules(
    tmp_path: Path, rules: dict[str, Any], top_k: int, labels: tuple[str, ...], rule: object
) -> None:
    spec = load(tmp_path, post(**rules))
    assert (spec.top_k, spec.labels, spec.rule) == (top_k, labels, rule)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"NormalizeFeatures": None}, "PostProcess.NormalizeFeatures is not supported here; the"),
        ({"SavePreLabel": {"save_dir": "x"}, "Topk": None}, "PostProcess.SavePreLabel is not supp"),
        ({"PersonAttribute": {}}, "PostProcess.PersonAttribute is not supported here"),
        ({"TopK": {}}, "PostProcess.TopK is not supported here; the nearest known one is Topk"),
        ({"Topk": None, "ThreshOutput": None}, "has ThreshOutput and Topk: keep the one that ans"),
        (
            {"main_indicator": "ThreshOutput", "Topk": None},
            "main_indicator is 'ThreshOutput', but PostProcess has Topk",
        ),
        ({"Topk": {"top_k": 3}}, "unknown key 'PostProcess.Topk.top_k'; the nearest known key is"),
        ({"Topk": {"topk": 0}}, "topk must be a whole number from 1 up, not 0"),
        ({"Topk": {"threshold": 0.5}}, "unknown key 'PostProcess.Topk.threshold'"),
        ({"ThreshOutput": {}}, "ThreshOutput needs threshold, a number from 0 to 1"),
        ({"ThreshOutput": {"threshold": 1.5}}, "must be a number from 0 to 1, not 1.5"),
        ({"ThreshOutput": {"threshold": [0.5]}}, "ThreshOutput.threshold must be one value"),
        (
            {"ThreshOutput": {"threshold": 0.5, "default_label_index": -1}},
            "default_label_index must be a whole number from 0 up, not -1",
        ),
        (
            {"ThreshOutput": {"threshold": 0.5, "label_0": "a", "label_list": ["b", "c"]}},
            "label_0 is not what the list of labels says",
        ),
        ({"MultiLabelThreshOutput": {"threshold": float("nan")}}, "must be a finite number"),
        ({"MultiLabelThreshOutput": {"threshold": "high"}}, "must be a finite number, not 'high'"),
        ({"MultiLabelThreshOutput": {"threshold": {0: 0.5}}}, "threshold needs default, the"),
        (
            {"MultiLabelThreshOutput": {"threshold": {"default": 0.5, "cat": 0.5}}},
            "threshold.cat must be the threshold of a class id, or default",
        ),
        ({"MultiLabelThreshOutput": {"topk": 5}}, "unknown key 'PostProcess.MultiLabelThreshOutp"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_name(
    tmp_path: Path, rules: dict[str, Any], message: str
) -> None:
    found = refused(tmp_path, post(**rules))
    assert message in found
    assert found.startswith(f"{tmp_path}/model/inference.yml:"), "with the line"


def mapped(tmp_path: Path, content: bytes | None, **options: Any) -> Path:
    rule = {"threshold": 0.5, "class_id_map_file": "labels.txt"} | options
    directory = write(tmp_path / "model", post(MultiLabelThreshOutput=rule))
    if content is not None:
        (directory / "labels.txt").write_bytes(content)
    return directory


def test_a_file_of_labels_in_any_order(tmp_path: Path) -> None:
    spec = load_model_spec(mapped(tmp_path, b"\xef\xbb\xbf1 sea, ocean\r\n\n0 no\n2 \n"))
    assert spec.labels == ("no", "sea, ocean", "")
    other = load_model_spec(mapped(tmp_path, b"0\tsky\n1\tsea", delimiter="\t"))
    assert other.labels == ("sky", "sea")
    assert load_model_spec(mapped(tmp_path, b"0 sky", delimiter=None)).labels == ("sky",)


def test_the_digest_is_over_the_file_of_labels_too(tmp_path: Path) -> None:
    first = load_model_spec(mapped(tmp_path, b"0 sky")).digest
    assert load_model_spec(mapped(tmp_path, b"0 sea")).digest != first
    assert load_model_spec(mapped(tmp_path, b"0 sky")).digest == first


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, {}, r"class_id_map_file names a file that is missing \(.*labels\.txt\)"),
        (b"0 a\n2 b", {}, r"labels\.txt names 2 classes, but not class 1"),
        (b"0 a\n1 b\n0 c", {}, r"line 3 of .*labels\.txt gives class 0 another label"),
        (b"sky\nsea", {}, r"line 1 of .*labels\.txt is not a class id, ' ' and a label"),
        (b"-1 sky", {}, "is not a class id"),
        (b"0 sky\n1,sea", {}, "line 2 of .* is not a class id, ' ' and a label"),
        (b"0 a\x07", {}, r"line 1 of .*: the label is not Unicode text .* U\+0007"),
        (b"0 \xff", {}, r"is not UTF-8 \(.*labels\.txt, byte 2\)"),
        (b"0 " + b"x" * 5 * 2**20, {}, r"is larger than 4 MiB"),
        (b"0 a", {"delimiter": ""}, "delimiter must be what separates id and label"),
        (b"0 a", {"label_list": ["a"]}, "class_id_map_file and label_list are both given"),
        (b"0 a", {"class_id_map_file": "../model/labels.txt"}, "copy the file into the model's"),
        (b"0 a", {"class_id_map_file": "/etc/passwd"}, "copy the file into the model's directory"),
        (b"0 a", {"class_id_map_file": "a\0"}, "the control character U"),
    ],
)
def test_a_file_of_labels_that_cannot_be_is_named(
    tmp_path: Path, content: bytes | None, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load_model_spec(mapped(tmp_path, content, **options))


def with_rule(tmp_path: Path, **rules: Any) -> ModelSpec:
    return load(tmp_path, post(**rules))


@pytest.mark.parametrize(
    ("rules", "right", "wrong", "message"),
    [
        ({"Topk": {"label_list": list("abc")}}, 3, (2, 4), "names 3 labels, but the network answ"),
        ({"ThreshOutput": {"threshold": 0.5}}, 2, (1,), "for two classes or more"),
        (
            {"ThreshOutput": {"threshold": 0.5, "default_label_index": 3}},
            4,
            (2, 3),
            r"default_label_index \(3\); the network answers with",
        ),
        ({"ThreshOutput": {"threshold": 0.5, "label_0": "a"}}, 2, (3,), "names 2 labels"),
        ({"MultiLabelThreshOutput": {"threshold": [0.5, 0.5]}}, 2, (1, 3), "of other classes"),
        (
            {"MultiLabelThreshOutput": {"threshold": {"default": 0.5, 7: 0.1}}},
            8,
            (7,),
            "of other classes than the 7",
        ),
    ],
)
def test_the_description_must_be_of_as_many_classes_as_the_network(
    tmp_path: Path, rules: dict[str, Any], right: int, wrong: tuple[int, ...], message: str
) -> None:
    spec = with_rule(tmp_path, **rules)
    spec.check_classes(right)
    for count in wrong:
        with pytest.raises(ModelError, match=message):
            spec.check_classes(count)
