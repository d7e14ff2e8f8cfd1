"""A registry that serves OCI layouts over HTTP on this machine's loopback, and tells of each request before it answers.

with LayoutRegistry({"app": folder}, arrived) as registry:   # arrived("app", path) may wait, as a slow registry does
    …                                                        # docker://{registry.host}/app:v1
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any


class LayoutRegistry(ThreadingHTTPServer):
    """Every tag means the one entry of the layout's index; a digest means what the layout has by that very digest."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, layouts: dict[str, Path], arrived: Callable[[str, str], None] = lambda _name, _path: None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.layouts, self.arrived = layouts, arrived
        self.host = f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> LayoutRegistry:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LayoutRegistry

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        parts = self.path.strip("/").split("/")
        if len(parts) != 4:  # /v2/: is it a registry?
            return self._answer(b"{}", "application/json")
        _, name, kind, what = parts
        self.server.arrived(name, self.path)
        layout = self.server.layouts[name]
        [entry] = json.loads((layout / "index.json").read_text())["manifests"]
        digest = what if ":" in what else entry["digest"]
        try:
            body = (layout / "blobs" / digest.replace(":", "/")).read_bytes()
        except FileNotFoundError:
            word = "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN"
            body = json.dumps({"errors": [{"code": word, "message": word.replace("_", " ").lower()}]}).encode()
            return self._answer(body, "application/json", 404)
        media_type = json.loads(body)["mediaType"] if kind == "manifests" else "application/octet-stream"
        return self._answer(body, media_type)

    do_HEAD = do_GET

    def _answer(self, body: bytes, media_type: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
