"""Copies of descriptors."""

from __future__ import annotations

import os

from worker.runtime.descriptors import duplicate


def test_a_copy_is_no_standard_descriptor_and_is_not_inherited() -> None:
    copy = duplicate(2)
    try:
        assert copy > 2
        assert not os.get_inheritable(copy)
        assert os.path.samestat(os.fstat(copy), os.fstat(2))
    finally:
        os.close(copy)
