"""Image classification with PaddlePaddle: a Kafka worker, and the same core in Python.

`from worker import create_pipeline` is the interface in Python (`worker.predict`). It is loaded
when it is first used, so that importing the package stays quick.
"""

from __future__ import annotations

# As in `typing`, whose import takes half of the time until the command line handles Ctrl-C.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from worker.predict import create_pipeline

__all__ = ["__version__", "create_pipeline"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "create_pipeline":
        from worker.predict import create_pipeline  # noqa: PLC0415 - see above

        return create_pipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
