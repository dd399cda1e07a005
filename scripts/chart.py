"""Makes what the chart has from other sources: the table of its values, and its settings' schema.

`python scripts/chart.py` writes both into `deploy/helm/classify-worker`; with `--check` nothing is
written, and the exit code is 1 if they are not what would be written.

The table is in the style of helm-docs: comments that begin with `# --` describe the key below them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticOmit, core_schema

from worker.settings import Settings
from worker.settings.registry import Setting, describe

CHART = Path(__file__).parents[1] / "deploy" / "helm" / "classify-worker"
TABLE = re.compile(r"(?<=<!-- values -->\n).*(?=<!-- end of values -->)", re.DOTALL)
HEAD = "| Key | Type | Default | Description |\n|-----|------|---------|-------------|\n"
OWN_DIRECTORIES = ("model_dir", "model_cache", "model_check")
"""Settings with a path that is a directory: a volume's, not a Secret's."""


class _SettingsSchema(GenerateJsonSchema):
    """The schema of the settings without those that are secret, which a ConfigMap must not hold."""

    def handle_invalid_for_json_schema(self, *_: object) -> JsonSchemaValue:
        # Types with a parser of their own are written as text: `device`.
        return {"type": "string"}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if '"writeOnly": true' in json.dumps(made):
            raise PydanticOmit
        return made


def values_table(values: str) -> str:
    """Write a table of the described values.

    Args:
        values: the text of `values.yaml`.

    Returns:
        Its rows in Markdown, with a head.
    """
    root = yaml.compose(values)
    assert isinstance(root, yaml.MappingNode)
    return HEAD + "".join(_rows(root, "", values.splitlines()))


def _rows(node: yaml.MappingNode, prefix: str, lines: list[str]) -> Iterator[str]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        described = _description(lines, key.start_mark.line)
        if described:
            yield _row(name, value, described)
        if isinstance(value, yaml.MappingNode):
            yield from _rows(value, f"{name}.", lines)


def _description(lines: list[str], line: int) -> str:
    """Gather the comment above a line, if it begins with `--`."""
    gathered: list[str] = []
    while line > 0 and (comment := re.fullmatch(r"\s*# ?(.*)", lines[line - 1])):
        gathered.insert(0, comment[1])
        line -= 1
        if comment[1].startswith("-- "):
            return " ".join(gathered).removeprefix("-- ")
    return ""


def _row(name: str, node: yaml.Node, description: str) -> str:
    value = yaml.safe_load(yaml.serialize(node))
    kinds = {bool: "bool", int: "int", float: "float", str: "string", list: "list", dict: "object"}
    # What has rows of its own is not repeated as a default.
    described_below = isinstance(value, dict) and name == "config"
    default = "see below" if described_below else f"`{json.dumps(value)}`"
    cells = (name, kinds[type(value)], default, description.replace("|", "\\|"))
    return "| " + " | ".join(cells) + " |\n"


def complete_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Put what the worker's settings say into the schema of the chart's values.

    Returns:
        The schema.
    """
    made = Settings.model_json_schema(schema_generator=_SettingsSchema)
    settings = list(describe().values())
    properties = schema["properties"]
    properties["config"] = _inlined(made, made["$defs"])
    _settings_of(properties["secretSettings"])["enum"] = [
        setting.key for setting in settings if setting.secret
    ]
    _settings_of(properties["secretFiles"])["enum"] = [
        setting.key for setting in settings if _names_a_file(setting)
    ]
    return schema


def _settings_of(array: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = array["items"]["properties"]["setting"]
    return found


def _names_a_file(setting: Setting) -> bool:
    return setting.expected.startswith("a path") and setting.key not in OWN_DIRECTORIES


def _inlined(part: object, definitions: Mapping[str, object]) -> object:
    """Put definitions where they are used, and leave out what only a reader of Python wants."""
    if isinstance(part, list):
        return [_inlined(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inlined(definitions[part["$ref"].rpartition("/")[2]], definitions)
    return {
        key: {name: _inlined(each, definitions) for name, each in value.items()}
        if key == "properties"
        else _inlined(value, definitions)
        for key, value in part.items()
        if key not in ("$defs", "title", "default")
    }


def main(check: bool) -> int:
    """Write, or compare.

    Returns:
        The exit code.
    """
    readme, schema = CHART / "README.md", CHART / "values.schema.json"
    table = values_table((CHART / "values.yaml").read_text("utf-8"))
    made = {
        readme: TABLE.sub(lambda _: table, readme.read_text("utf-8")),
        schema: json.dumps(complete_schema(json.loads(schema.read_text("utf-8"))), indent=2) + "\n",
    }
    changed = [path for path, text in made.items() if path.read_text("utf-8") != text]
    for path in changed:
        if check:
            print(f"{path} is not up to date: run python scripts/chart.py")  # noqa: T201
        else:
            path.write_text(made[path], "utf-8")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
