from __future__ import annotations

import os
import subprocess
import sys


def test_the_list_is_not_read_until_it_is_asked_for() -> None:
    script = (
        "import worker.cli.commands, worker.zoo.catalogue as c; "
        "print(c.catalogue.cache_info().currsize, c._document.cache_info().currsize)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    assert run.stdout == "0 0\n"
