"""What an `inference.yml` says, all of it: what is not understood is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from worker.model.fields import Field
from worker.model.labels import check_text
from worker.model.post_processing import PostProcessing, post_processing
from worker.model.pre_processing import PreProcessing, pre_processing
from worker.model.yaml_tree import ConfigError, Table, parse

__all__ = ["InferenceConfig", "read_config"]

_SECTIONS = ("Global", "PreProcess", "PostProcess", "Hpi")
"""`Hpi` configures a plug-in of PaddleX's, which is not used here."""


@dataclass(frozen=True, slots=True)
class InferenceConfig:
    """A model's description.

    Attributes:
        name: `Global.model_name`, or None.
    """

    name: str | None
    pre: PreProcessing
    post: PostProcessing


def read_config(data: bytes, directory: Path) -> InferenceConfig:
    """Read a description.

    Args:
        data: the file's content.
        directory: where it is.

    Returns:
        What it says, checked.

    Raises:
        ConfigError: it says something that cannot be or is not supported.
    """
    root = parse(data)
    if not isinstance(root, Table):
        raise ConfigError("is not a mapping", None if root is None else root.line)
    sections = Field("the file", root).table(_SECTIONS, prefix="")
    empty = Field("PreProcess", Table(1))
    post = sections.get("PostProcess", Field("PostProcess", Table(1)))
    return InferenceConfig(
        name=_name(sections.get("Global")),
        post=post_processing(post, directory),
        pre=pre_processing(sections.get("PreProcess", empty)),
    )


def _name(section: Field | None) -> str | None:
    if section is None:
        return None
    name = section.table(["model_name"]).get("model_name")
    if name is None or name.is_null:
        return None
    check_text(name.text(), name)
    if not name.text().strip():
        raise name.refusal("is empty: leave it out, and the directory's name is taken")
    return name.text()
