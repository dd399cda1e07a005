"""Names of a package that are loaded when they are first used (PEP 562)."""

from __future__ import annotations

from importlib import import_module

# As in `typing`; see `worker`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["lazy_names"]


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Make the `__getattr__` of a package.

    Args:
        package: its `__name__`.
        modules: by name, the module of the package that has it.

    Returns:
        A function that raises AttributeError for all other names.
    """

    def load(name: str) -> object:
        if name in modules:
            return getattr(import_module(f"{package}.{modules[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return load
