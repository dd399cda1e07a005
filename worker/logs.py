"""Structured logs: one JSON object or one console line per event, on standard error.

Events are named in snake_case and carry their facts as fields. Records of other libraries come out
the same way, as `aiokafka_message` and the like with their text in `message`. Nothing that a log
must not hold gets through: secrets, the image data in `data:` URIs and Base64, long values.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TextIO

import orjson
import structlog

from worker.clock import SYSTEM_CLOCK, Clock
from worker.redaction import REDACTED, without_secrets
from worker.repeats import Repeats
from worker.runtime.line_writer import LineWriter

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.typing import EventDict, Processor, WrappedLogger

    from worker.settings import LogSettings

__all__ = ["configure", "count_dropped", "flush", "get_logger", "log_uncaught", "say"]

MAX_VALUE = 500
"""Longest value logged, in characters; a stack trace may have MAX_TRACE, its end counts."""

MAX_TRACE = 16_000
MAX_ITEMS = 50
MAX_DEPTH = 4
MAX_SEARCHED = 8 * MAX_VALUE

LAST_LINES = 5.0
"""Seconds, at the end of a process, for lines that wait for a slow reader."""

_SECRET_NAME = re.compile(
    r"passw|secret|token|credential|authorization|cookie|api_?key", re.IGNORECASE
)
# Long runs of one alphabet are no words; digests and trace ids are shorter. `base64 FILE` breaks
# its lines after 76 characters, and a repr shows the breaks as \n.
_BASE64 = re.compile(
    r"[A-Za-z0-9+/_=-]{200,}|(?:[A-Za-z0-9+/]{60,199}(?:\\[rn]|[\r\n])+){2,}[A-Za-z0-9+/]*={0,2}"
)

# What a level means for libraries that log more than an operator of this worker wants to read.
_LIBRARIES = {"aiokafka": logging.WARNING, "aiohttp": logging.WARNING, "asyncio": logging.WARNING}
_OURS = "worker"

_REPETITIVE = "aiokafka"
"""It says with each attempt, ten times a second, that a broker does not answer."""


class Logger:
    """Logs as structlog is configured; until it is, through the standard library.

    For code that also runs inside other people's programs: structlog's own default would write on
    their standard output.

    Args:
        name: of the logger.
    """

    def __init__(self, name: str) -> None:
        self._structlog = structlog.get_logger(name)
        self._stdlib = structlog.wrap_logger(
            logging.getLogger(name),
            processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
            wrapper_class=structlog.stdlib.BoundLogger,
            context_class=dict,
        )

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a method of a logger, such as `info`
        return getattr(self._structlog if structlog.is_configured() else self._stdlib, name)


def get_logger(name: str) -> Logger:
    """Get the logger of a module that may be used without `configure`.

    Returns:
        The logger.
    """
    return Logger(name)


def configure(
    settings: LogSettings, stream: TextIO | None = None, clock: Clock = SYSTEM_CLOCK
) -> None:
    """Set up structlog and the standard library's loggers; a second call replaces the first.

    Args:
        settings: level and format.
        stream: where lines go, at once; by default standard error, through a queue.
        clock: measures how long repeated lines of libraries are left out.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(), _name_library_events],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            clean,
            *_renderers(settings, stream or sys.stderr),
        ],
    )
    handler = _handler(formatter, stream)
    handler.setFormatter(formatter)
    handler.addFilter(_Repetitions(clock))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name, least in _LIBRARIES.items():
        # At debug level they log from info level on: their own debug output is endless.
        logging.getLogger(name).setLevel(logging.INFO if level == logging.DEBUG else least)
    logging.captureWarnings(capture=True)


def count_dropped(on_drop: Callable[[int], None]) -> None:
    """Call `on_drop` with the number of lines dropped, in any thread, whenever it happens."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _QueueHandler):
            handler.writer.on_drop = on_drop
            if handler.writer.dropped:
                on_drop(handler.writer.dropped)


def flush(timeout: float = LAST_LINES) -> None:
    """Wait until all lines are out, or their reader is seen to have stopped.

    Args:
        timeout: seconds, in all.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _QueueHandler):
            handler.writer.flush(timeout)


def say(text: str, *, wait: bool = True) -> None:
    """Write a line for people where the log goes, after what is logged so far.

    Args:
        wait: until it is written, though never long; an event loop must not.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _QueueHandler):
            handler.writer.put(f"{text}\n")
            if wait:
                handler.writer.flush(LAST_LINES)
            return
    sys.stderr.write(f"{text}\n")


def log_uncaught() -> None:
    """From now on, log exceptions that end a thread, or that cannot be raised anywhere."""

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            name = "?" if args.thread is None else args.thread.name
            _log_error("thread_failed", args.exc_type, args.exc_value, args.exc_traceback, name)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        _log_error(
            "exception_ignored",
            args.exc_type,
            args.exc_value,
            args.exc_traceback,
            args.err_msg or repr(args.object),
        )

    threading.excepthook = in_thread
    sys.unraisablehook = unraisable


def _log_error(
    event: str,
    kind: type[BaseException],
    error: BaseException | None,
    trace: TracebackType | None,
    where: str,
) -> None:
    log = structlog.get_logger(__name__)
    log.error(event, where=where, exc_info=(kind, error or kind(), trace))


class _QueueHandler(logging.Handler):
    """Formats in the thread that logs, and leaves the writing to `LineWriter`'s."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self.writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.writer.put(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001 - whatever it is that cannot be shown
            self.handleError(record)

    def flush(self) -> None:
        """Called at the interpreter's end."""
        self.writer.flush(LAST_LINES)


class _Repetitions(logging.Filter):
    """Leaves out what aiokafka repeats; the next one told has their number in `left_out`."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(_REPETITIVE)
        self._repeats = Repeats(clock=clock)

    def filter(self, record: logging.LogRecord) -> bool:
        if not super().filter(record):
            return True  # another library's
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - the handler shows what is wrong with it
            return True
        left_out = self._repeats.admit((record.name, record.levelno, text))
        if left_out:
            record.left_out = left_out
        return left_out is not None


def _handler(formatter: logging.Formatter, stream: TextIO | None) -> logging.Handler:
    if stream is None:
        try:
            # Not through the stream: its lock, once held for a reader that has stopped, would hold
            # up the interpreter's end too.
            return _QueueHandler(LineWriter(sys.stderr.fileno(), _notice(formatter)))
        except (OSError, AttributeError):
            stream = sys.stderr  # a stand-in, which is no file
    return logging.StreamHandler(stream)


def _notice(formatter: logging.Formatter) -> Callable[[int], str]:
    """Make the line that replaces lines that were dropped."""

    def make(lines: int) -> str:
        record = logging.LogRecord(
            __name__, logging.WARNING, __file__, 0, "log_lines_dropped", None, None
        )
        record.lines = lines
        return f"{formatter.format(record)}\n"

    return make


def clean(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Redact secrets, remove image data and shorten long values; a processor of structlog.

    Returns:
        The event, changed in place.
    """
    for name, value in event.items():
        if name == "exception":
            event[name] = _without_payloads(str(value))[-MAX_TRACE:]
        else:
            event[name] = _cleaned(value, name, MAX_DEPTH)
    return event


def _cleaned(value: object, name: str, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_NAME.search(name):
        return REDACTED
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth and isinstance(value, Mapping | list | tuple | set | frozenset):
        return _cleaned_items(value, depth - 1)
    return _shortened(value if isinstance(value, str) else _text(value))


def _cleaned_items(items: Mapping[object, object] | Iterable[object], depth: int) -> object:
    if isinstance(items, Mapping):
        pairs = islice(items.items(), MAX_ITEMS)
        return {str(key): _cleaned(item, str(key), depth) for key, item in pairs}
    return [_cleaned(item, "", depth) for item in islice(items, MAX_ITEMS)]


def _shortened(text: str) -> str:
    cleaned = _without_payloads(text[:MAX_SEARCHED])
    if len(text) <= MAX_SEARCHED and len(cleaned) <= MAX_VALUE:
        return cleaned
    return f"{cleaned[:MAX_VALUE]}… [{len(text)} characters]"


def _text(value: object) -> str:
    return str(value) if isinstance(value, BaseException) else repr(value)


def _without_payloads(text: str) -> str:
    text = without_secrets(text)
    return _BASE64.sub(lambda found: f"[{len(found[0])} characters]", text)


def _name_library_events(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    logger = str(event.get("logger", ""))
    package = logger.partition(".")[0]
    if package == _OURS:
        return event
    name = "python_warning" if logger == "py.warnings" else f"{package or 'root'}_message"
    return {**event, "event": name, "message": event["event"]}


def _renderers(settings: LogSettings, stream: TextIO) -> list[Processor]:
    if settings.format == "console" and stream.isatty():
        colors = not os.environ.get("NO_COLOR")
        renderer = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, pad_level=False)
        return [_short_head, renderer]
    if settings.format == "console":
        return [structlog.dev.ConsoleRenderer(colors=False)]
    return [_head_first, structlog.processors.JSONRenderer(serializer=_to_json)]


def _short_head(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Shorten a line's head: the local time of day, and no module of ours; terminals are narrow."""
    time = datetime.fromisoformat(event["timestamp"]).astimezone()
    event["timestamp"] = f"{time:%H:%M:%S}"
    if str(event.get("logger", "")).partition(".")[0] == _OURS:
        del event["logger"]
    return event


def _head_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    head = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**head, **event}


def _to_json(event: EventDict, **_: object) -> str:
    try:
        return orjson.dumps(event).decode()
    except TypeError:
        # Only the standard library writes lone surrogates and integers beyond 64 bits.
        return json.dumps(event)
