"""A webhook's other end: a real HTTP server on this machine, that answers as a test says."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Request:
    """What arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Endpoint:
    """Answers each request with the next of `answers`, the last one again and again: a status, its headers, its body.

    received  called with each request before it is answered
    tls       with which it speaks HTTPS
    """

    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=lambda: [(204, {}, b"")])
    requests: list[Request] = field(default_factory=list)
    received: Callable[[Request], None] = lambda _: None
    tls: ssl.SSLContext | None = None
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """What a webhook's `url` is."""
        return f"http://127.0.0.1:{self.port}/hook"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(path=self.path, headers=dict(self.headers.items()), body=body)
                endpoint.received(request)
                endpoint.requests.append(request)
                status, headers, said = endpoint.answers.pop(0) if len(endpoint.answers) > 1 else endpoint.answers[0]
                with contextlib.suppress(ConnectionError):  # who asked was killed meanwhile
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(said)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        return Handler
