"""What a child process runs first, by its path: finds this package, and calls a module's `main`.

See `worker.runtime.children`. The package's parent directory is on the path for just one import: it
may hold modules that have names of others.
"""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import_module("worker")
    del sys.path[0]
    module = sys.argv.pop(1)
    sys.argv[0] = module
    import_module(module).main()
