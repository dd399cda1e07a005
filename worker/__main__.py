"""`python -m worker` is `classify-worker`."""

import sys
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    # `-m` puts the current directory first. It has found this package, and is not asked for any
    # other: a `json.py` that happens to lie there is none of this program's.
    with suppress(OSError):
        if not sys.flags.safe_path and sys.path[0] == str(Path.cwd()):
            del sys.path[0]
    from worker.cli import main

    main()
