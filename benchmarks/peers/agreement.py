"""Whether all that is measured answers the same: a quick wrong answer is worth nothing."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["DisagreementError", "check_agreement"]


class DisagreementError(Exception):
    """Two programs see different things in a photograph."""


def check_agreement(answers: Mapping[str, Mapping[str, int]]) -> str:
    """Compare the best class of each photograph.

    Args:
        answers: class ids by photograph, by who answered.

    Returns:
        A sentence about what was compared.

    Raises:
        DisagreementError: they are not the same; the message names the photographs.
    """
    (first, expected), *others = answers.items()
    for name, found in others:
        if found != expected:
            wrong = sorted(
                photograph
                for photograph in expected.keys() | found.keys()
                if found.get(photograph) != expected.get(photograph)
            )
            raise DisagreementError(f"{first} and {name} answer differently: {', '.join(wrong)}")
    return f"{', '.join(answers)}: the same best class for each of {len(expected)} photographs"
