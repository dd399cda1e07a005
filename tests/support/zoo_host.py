"""A loopback host of archives in the official layout, which fails as real ones do."""

from __future__ import annotations

import hashlib
import http.server
import io
import re
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import yaml

__all__ = ["Host", "make_archive", "model_files"]


def model_files(weights: bytes = b"weights") -> dict[str, bytes]:
    """The files of a model that can be inspected, though not computed."""
    config = {
        "Global": {"model_name": "made up"},
        "PreProcess": {"transform_ops": [{"CropImage": {"size": 8}}, {"ToCHWImage": None}]},
    }
    return {
        "inference.json": b"{}",
        "inference.pdiparams": weights,
        "inference.yml": yaml.safe_dump(config).encode(),
    }


def make_archive(name: str, files: Mapping[str, bytes] | None = None) -> bytes:
    """`NAME_infer.tar`: the directory `NAME_infer/` with the files in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        directory = tarfile.TarInfo(f"{name}_infer")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(directory)
        for file, content in (model_files() if files is None else files).items():
            member = tarfile.TarInfo(f"{name}_infer/{file}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Host:
    """Serves `files` by path at `url`; a context manager.

    Attributes:
        files: content by path.
        cuts: how many bytes each of the next responses sends before its connection breaks.
        statuses: what the next responses answer instead of a file.
        redirects: where paths lead to.
        parts: whether it knows ranges.
        etags: whether it names the version of a file.
        lengths: whether it says how long a file is.
        patience: seconds that the first request waits for a second one before it is answered.
        shift: by how many bytes a part begins too late.
        requests: the headers of each request, with its path as `path`.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    parts: bool = True
    etags: bool = True
    lengths: bool = True
    shift: int = 0
    patience: float = 0.0
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> Self:
        self.second = threading.Event()
        handler = type("Handler", (_Handler,), {"host": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Quiet: clients that go away early are what some tests are about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    host: Host
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        host = self.host
        self.close_connection = True
        host.requests.append({**dict(self.headers.items()), "path": self.path})
        if len(host.requests) > 1:
            host.second.set()
        host.second.wait(host.patience)
        if self.path in host.redirects:
            self._head(302, {"Location": host.redirects[self.path]}, 0)
        elif host.statuses:
            self._head(host.statuses.pop(0), {}, 0)
        elif self.path not in host.files:
            self._head(404, {}, 0)
        else:
            self._file(host.files[self.path])

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Quiet."""

    def _file(self, content: bytes) -> None:
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {"ETag": etag} if self.host.etags else {}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and self.host.parts and self.headers.get("If-Range", etag) == etag:
            start = int(asked[1]) + self.host.shift
            if start >= len(content):
                self._head(416, {"Content-Range": f"bytes */{len(content)}"}, 0)
                return
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._head(206, headers, len(content) - start)
            self._send(content[start:])
        else:
            self._head(200, headers, len(content))
            self._send(content)

    def _send(self, content: bytes) -> None:
        if self.host.cuts:
            content = content[: self.host.cuts.pop(0)]
        self.wfile.write(content)

    def _head(self, status: int, headers: Mapping[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.host.lengths:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()
