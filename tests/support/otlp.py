"""A collector of traces: OTLP over HTTP with Protocol Buffers, on loopback."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

__all__ = ["Collector", "Exported"]

BOUND = 60.0
"""Seconds after which spans that must come count as lost."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A span as it came over the wire; ids are in hexadecimal digits, times in nanoseconds.

    Attributes:
        kind: `CONSUMER` and the like.
        links: trace id and span id of each.
        resource: the attributes of what made it.
    """

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    failed: bool
    began: int
    ended: int
    resource: dict[str, Any]


class Collector:
    """Takes spans on 127.0.0.1; a context manager.

    Attributes:
        spans: all that have come.
    """

    def __init__(self) -> None:
        self.spans: list[Exported] = []
        self._changed = threading.Condition()
        self._answering = threading.Event()
        self._answering.set()
        self._asked = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False  # closing it waits for them
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._answering.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """The value of `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def fall_silent(self) -> None:
        """Answer no request from now on; connections stay open."""
        self._asked.clear()
        self._answering.clear()

    def wait_until_asked(self) -> None:
        """Return once a request came that is not answered."""
        assert self._asked.wait(BOUND), f"nothing exported within {BOUND:g} s"

    def wait_for(self, holds: Callable[[list[Exported]], bool]) -> list[Exported]:
        """All spans, once something holds of them."""
        with self._changed:
            found = self._changed.wait_for(lambda: holds(self.spans), BOUND)
            assert found, [(span.name, span.attributes) for span in self.spans]
            return list(self.spans)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                if not collector._answering.is_set():
                    collector._asked.set()
                    collector._answering.wait(BOUND)
                assert self.path == "/v1/traces"
                assert self.headers["Content-Type"] == "application/x-protobuf"
                collector._take(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    def _take(self, request: ExportTraceServiceRequest) -> None:
        with self._changed:
            for group in request.resource_spans:
                resource = _values(group.resource.attributes)
                for scope in group.scope_spans:
                    self.spans += [_exported(span, resource) for span in scope.spans]
            self._changed.notify_all()


def _exported(span: trace_pb2.Span, resource: dict[str, Any]) -> Exported:
    return Exported(
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_values(span.attributes),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        resource=resource,
    )


def _values(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in pairs
    }
