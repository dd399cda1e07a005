"""Settings from a YAML file: nested mappings, each key once, each with its line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from worker.bounded_yaml import BoundedLoader, TooLargeError, read_text
from worker.settings.registry import describe, group_docs
from worker.settings.sources.layer import Layer, nearest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_file"]

_QUOTED = re.compile(r"'(?!\\.'|tag:yaml)[^']{2,}'|\"[^\"]{2,}\"|(?<=base 10: ).*")


def read_file(path: Path) -> Layer:
    """Read a YAML file; what cannot be read or is not known is a problem.

    Returns:
        The settings in it, and what is wrong with them.
    """
    layer = Layer()
    try:
        loader = BoundedLoader(read_text(path))
        root = loader.get_single_node()
    except OSError as error:
        layer.object_to(f"{path} cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        layer.object_to(f"{path} is not UTF-8 (byte {error.start})")
    except TooLargeError as error:
        layer.object_to(f"{path} {error}")
    except yaml.YAMLError as error:
        layer.object_to(f"{path} is not YAML: {_one_line(error)}")
    else:
        if root is not None:
            _Walk(path, loader, layer).mapping(root, "")
    return layer


class _Walk:
    """Goes through the nodes rather than the values: only nodes know lines and repeated keys."""

    def __init__(self, path: Path, loader: BoundedLoader, layer: Layer) -> None:
        self._path = path
        self._loader = loader
        self._layer = layer

    def mapping(self, node: yaml.Node, prefix: str) -> None:
        if node.tag == "tag:yaml.org,2002:null":
            return  # a group whose settings are all commented out
        if not isinstance(node, yaml.MappingNode):
            what = prefix.removesuffix(".") or "the file"
            self._layer.object_to(f"{self._where(node)}: {what} must be a mapping of settings")
            return
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = prefix + str(key_node.value)
            if key in lines:
                self._layer.object_to(
                    f"{self._where(key_node)}: {key} is given twice, first in line {lines[key]}"
                )
                continue
            lines[key] = key_node.start_mark.line + 1
            self._entry(key, key_node, value_node)

    def _entry(self, key: str, key_node: yaml.Node, value_node: yaml.Node) -> None:
        where = self._where(key_node)
        setting = describe().get(key)
        if key in group_docs():
            self.mapping(value_node, f"{key}.")
        elif setting is None or "." in str(key_node.value):
            grouped = isinstance(value_node, yaml.MappingNode)
            known = nearest(key, group_docs() if grouped else describe())
            self._layer.object_to(
                f"{where}: unknown key {key!r}; the nearest known key is {known}"
                if setting is None
                else f"{where}: write {key!r} as nested mappings"
            )
        else:
            try:
                value = self._loader.value(value_node)
            except (yaml.YAMLError, ValueError) as error:
                self._layer.object_to(f"{where}: {key}: {_one_line(error)}")
            else:
                self._layer.give(setting, value, f"file {where}")

    def _where(self, node: yaml.Node) -> str:
        return f"{self._path}:{node.start_mark.line + 1}"


def _one_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{_unquoted(str(error.problem))} in line {error.problem_mark.line + 1}"
    return _unquoted(" ".join(str(error).split()))


def _unquoted(problem: str) -> str:
    """Take the text of the file out of a problem: it may be an unquoted password."""
    return _QUOTED.sub("'…'", problem)
