"""Names that a package loads when they are first used."""

from __future__ import annotations

import pytest

from worker.runtime.lazy_names import lazy_names


def test_a_name_comes_from_its_module_and_others_are_unknown() -> None:
    load = lazy_names("worker.runtime", {"lazy_names": "lazy_names"})
    assert load("lazy_names") is lazy_names
    with pytest.raises(AttributeError, match=r"no attribute 'other'$"):
        load("other")
