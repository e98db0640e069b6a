"""Headers: which of a mirrored request go on to the versions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final

_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
_OURS: Final = frozenset({"host", "content-length", "accept-encoding"})
_CREDENTIALS: Final = (
    "auth",
    "cookie",
    "token",
    "secret",
    "password",
    "credential",
    "api-key",
    "apikey",
    "api_key",
    "access-key",
    "subscription-key",
    "session",
    "jwt",
    "assertion",
    "signature",
    "client-cert",
    "csrf",
    "xsrf",
)
_SHADOW: Final = "-shadow"


def forwarded(headers: Iterable[tuple[str, str]], asked: Collection[str]) -> list[tuple[str, str]]:
    """The headers of the replays: those of the request without what belongs to a connection, and without credentials.

    Args:
        headers: names and values as they came.
        asked: names in lower case that are forwarded although they are credentials.
    """
    pairs = [(name, value) for name, value in headers if _proper(value)]
    listed = {
        part.strip().lower() for name, value in pairs if name.lower() == "connection" for part in value.split(",")
    }
    kept = [
        (name, value)
        for name, value in pairs
        if (lower := name.lower()) in asked or not (_stays(lower) or lower in listed)
    ]
    host = next((value for name, value in pairs if name.lower() == "host"), None)
    # Compressed answers would only be unpacked again here.
    return [*kept, *([("Host", original(host))] if host else []), ("Accept-Encoding", "identity")]


@lru_cache(maxsize=1024)
def _stays(name: str) -> bool:
    """Whether it belongs to the connection, is set anew or may be a credential."""
    return name in _HOP_BY_HOP or name in _OURS or any(word in name for word in _CREDENTIALS)


def original(host: str) -> str:
    """The Host that the user sent: Envoy appends `-shadow` to the name in mirrored requests."""
    name, colon, port = host.rpartition(":") if host[-1:].isdigit() and ":" in host else (host, "", "")
    return name.removesuffix(_SHADOW) + colon + port


def _proper(value: str) -> bool:
    """What a client would refuse to send is left out."""
    return value.isprintable() or value.replace("\t", " ").isprintable()
