"""The names of a model's classes: every one is text that a result, a log and a table can hold."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from worker.model.fields import Field, shown
from worker.model.yaml_tree import MAX_BYTES, ConfigError, Scalar

__all__ = ["check_text", "labels_of", "objection_to"]

LONGEST = 1024
"""Characters of a label or a name; each result carries some of them."""

_FORBIDDEN = {"Cc": "the control character", "Cs": "half a surrogate pair,"}


def labels_of(options: Mapping[str, Field], directory: Path) -> tuple[tuple[str, ...], list[Path]]:
    """Read the labels.

    Args:
        options: with `label_list`, or `class_id_map_file` and `delimiter`, or neither.
        directory: the model's.

    Returns:
        The labels in class order, empty if there are none, and the files that name them.

    Raises:
        ConfigError: both are given, or one of them cannot be.
    """
    listed, named = options.get("label_list"), options.get("class_id_map_file")
    if named is None or named.is_null:
        return (() if listed is None else _label_list(listed)), []
    if listed is not None and not listed.is_null:
        raise named.refusal("and label_list are both given: keep the one that is meant")
    between = options.get("delimiter")
    delimiter = " " if between is None or between.is_null else between.text()
    if not 0 < len(delimiter) <= LONGEST:
        raise options["delimiter"].refusal("must be what separates id and label")
    path = directory / _file_name(named)
    return _class_map(path, named, delimiter), [path]


def check_text(text: str, field: Field) -> None:
    """Refuse text that no result, log line or table could hold.

    Raises:
        ConfigError: the message says what is in it.
    """
    objection = objection_to(text)
    if objection is not None:
        raise field.refusal(objection)


def objection_to(text: str) -> str | None:
    """Say why a text can be no label.

    Returns:
        What follows its name in a sentence; None if it can be one.
    """
    if len(text) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if text.isprintable():
        return None
    for sign in text.replace("\t", ""):
        kind = _FORBIDDEN.get(unicodedata.category(sign))
        if kind is not None:
            return f"is not Unicode text of one line: it holds {kind} U+{ord(sign):04X}"
    return None


def _label_list(field: Field) -> tuple[str, ...]:
    """Labels as they are written: `no`, `12:30` and `1.10` are text here."""
    if field.is_null:
        return ()
    labels = []
    for number, item in enumerate(field.items("a list of labels", field.name)):
        if not isinstance(item.node, Scalar):
            raise item.refusal("must be a list of labels, each one text")
        check_text(item.node.text, Field(f"label {number} of label_list", item.node))
        labels.append(item.node.text)
    return tuple(labels)


def _file_name(named: Field) -> str:
    name = named.text()
    check_text(name, named)
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts:
        # The author of a model must not choose which files of this machine become labels.
        raise named.refusal(
            f"is {shown(name)!r}: copy the file into the model's directory and name it from there"
        )
    return name


def _class_map(path: Path, named: Field, delimiter: str) -> tuple[str, ...]:
    """The labels of a file with a line `ID LABEL` for each class, in any order."""
    found: dict[int, str] = {}
    for number, line in enumerate(_read(path, named).split("\n"), 1):
        if line.strip():
            where = f"line {number} of {path}"
            class_id, label = _entry(line.removesuffix("\r"), delimiter, where)
            if class_id in found:
                raise ConfigError(f"{where} gives class {class_id} another label")
            found[class_id] = label
    missing = next((class_id for class_id in range(len(found)) if class_id not in found), None)
    if missing is not None:
        raise ConfigError(f"{path} names {len(found)} classes, but not class {missing}")
    return tuple(found[class_id] for class_id in range(len(found)))


def _read(path: Path, named: Field) -> str:
    if not path.is_file():
        raise named.refusal(f"names a file that is missing ({path})")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise named.refusal(f"cannot be read ({path}): {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise named.refusal(f"is larger than {MAX_BYTES // 2**20} MiB ({path})")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise named.refusal(f"is not UTF-8 ({path}, byte {error.start})") from error


def _entry(line: str, delimiter: str, where: str) -> tuple[int, str]:
    class_id, found, label = line.partition(delimiter)
    class_id = class_id.strip()
    if not found or not (class_id.isascii() and class_id.isdigit() and len(class_id) < 10):
        raise ConfigError(f"{where} is not a class id, {delimiter!r} and a label")
    objection = objection_to(label)
    if objection is not None:
        raise ConfigError(f"{where}: the label {objection}")
    return int(class_id), label
