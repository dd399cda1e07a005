"""One process of a long run: a target under atheris, which looks for inputs that reach new code.

`python -m tests.support.fuzz.guided TARGET OPTIONS-OF-LIBFUZZER... DIRECTORIES...`
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["worker"]):
    from tests.support.fuzz.targets import TARGETS


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name].check, enable_python_coverage=True)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
