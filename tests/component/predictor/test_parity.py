"""Of several processes that load one model, one checks whether it answers rightly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_of_several_processes_one_checks(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from worker.predictor.parity import load_checked
from worker.predictor.parity_cache import ParityCache
import numpy as np

class Network:
    def scores(self, crops):
        return np.ones((len(crops), 1), np.float32)

def plain():
    print("checked", flush=True)
    return Network()

cache = ParityCache(Path(sys.argv[1]), "sha256:1", "fast 1.0")
print("ready", flush=True)
sys.stdin.readline()
load_checked(Network, plain, (8, 8), cache)
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=30)[0] for process in processes]
    assert sorted(outputs) == ["", "", "checked\n"]
