"""`python -m worker` is `classify-worker`."""

import os
import sys

if __name__ == "__main__":
    # `-m` puts the current directory first. It has found this package, and is not asked for any
    # other: a `json.py` that happens to lie there is none of this program's. `os` is loaded by now.
    try:
        if not sys.flags.safe_path and sys.path[0] == os.getcwd():  # noqa: PTH109
            del sys.path[0]
    except OSError:
        pass  # there is no such directory any more
    from worker.cli import main

    main()
