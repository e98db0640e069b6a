"""HTTP with as little as it takes: a backend that answers the same to everything, and a connection that mirrors to an inspector."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Final

_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"

ANSWER: Final = json.dumps(
    {"outputs": [{"name": "p", "shape": [1, 2], "datatype": "FP64", "data": [0.25, 0.75]}]}
).encode()
LARGE: Final = json.dumps({"outputs": [{"name": "p", "shape": [1], "datatype": "FP64", "data": [n / 7 for n in range(45_000)]}]}).encode()  # fmt: skip


def request(path: str, body: bytes, *, number: int) -> bytes:
    """A mirrored request as Envoy writes it."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: churn.example.com-shadow\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        f"user-agent: bench\r\nx-forwarded-for: 10.0.0.1\r\nx-forwarded-proto: http\r\nx-request-id: {number:032x}\r\n"
        f"x-tenant: {number % 5}\r\n\r\n"
    )
    return head.encode() + body


class Messages(asyncio.Protocol):
    """Finds the messages in what comes; each has a Content-Length."""

    def __init__(self) -> None:
        self._seen = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  mypy's question
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Pass on every message that is complete."""
        self._seen += data
        while (end := self._seen.find(_END)) >= 0:
            head = bytes(self._seen[:end])
            lower = head.lower()
            at = lower.find(_LENGTH)
            size = int(lower[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._seen) < end + len(_END) + size:
                return
            del self._seen[: end + len(_END) + size]
            self.message(head)

    def message(self, head: bytes) -> None:
        """A message has come."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Send."""
        if self._transport is not None:
            self._transport.write(data)


class Backend(Messages):
    """The trivial model server: the same answer to everything; /large has a large one."""

    def message(self, head: bytes) -> None:
        """Answer."""
        body = LARGE if b"/large" in head[:40] else ANSWER
        self.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )


class Mirror(Messages):
    """A kept connection of the gateway: one request at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._answered: asyncio.Future[None] | None = None

    async def send(self, data: bytes) -> None:
        """Send a request and wait for its answer."""
        self._answered = asyncio.get_running_loop().create_future()
        self.write(data)
        await self._answered

    def message(self, head: bytes) -> None:
        """It was accepted."""
        if not head.startswith(b"HTTP/1.1 202"):
            raise ValueError(f"the inspector answered {head[:40]!r}")
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)


async def serve(port: int) -> None:
    """Serve the trivial backend for ever."""
    server = await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))
