"""A Prometheus that misbehaves on request: real ones cannot be asked to answer with HTML or to be slow."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Behaviour = Callable[["Handler"], None]


@dataclass
class Fake:
    """What it was asked, and how it behaves; `done` lets those that wait go on."""

    url: str
    behaviour: Behaviour
    asked: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """One request, answered as the test wants."""

    protocol_version = "HTTP/1.1"
    fake: Fake

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.fake.asked.append({name: values[0] for name, values in parse_qs(body).items()})
        self.fake.headers.append(dict(self.headers))
        self.fake.lines.append(self.requestline)
        self.fake.behaviour(self)

    def answer(self, body: bytes | dict[str, Any], status: int = 200, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response_only(status)
        usual = {"Date": self.date_time_string(), "Content-Length": str(len(content))}
        for name, value in {**usual, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name that http.server gives
        """Say nothing."""


def vector(*samples: tuple[dict[str, str], str], **more: Any) -> dict[str, Any]:
    """A successful answer to an instant query."""
    result = [{"metric": labels, "value": [1_772_000_000, value]} for labels, value in samples]
    return {"status": "success", "data": {"resultType": "vector", "result": result}, **more}


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]], **more: Any) -> dict[str, Any]:
    """A successful answer to a range query."""
    result = [{"metric": labels, "values": points} for labels, points in series]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}, **more}


@contextmanager
def misbehaving(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[Fake]:
    """A server on a free port; with `tls` one that is spoken to by HTTPS."""

    class ThisServers(Handler):
        """A class of its own: http.server makes a handler for each request and can only be told of the fake by its class."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), ThisServers)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    fake = Fake(f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}", behaviour)
    ThisServers.fake = fake
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield fake
    finally:
        fake.done.set()
        server.shutdown()
        server.server_close()
        thread.join()
