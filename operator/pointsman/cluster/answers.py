"""What the API server's answers mean: which error of Pointsman's an HTTP status is.

Retryable
├── Conflict           409: the object changed since it was read, or is not the one that was seen
└── Unavailable        no answer, not in time, 5xx, 401
    ├── Busy           429: not before `after` seconds
    └── Broke          500: the API server failed at it; so it also answers an apply that it cannot decode
Terminal
└── Refused            any other 4xx, in the API server's own words; 500: the object is larger than etcd can store
    ├── Missing        404: there is no such object, namespace or kind
    └── Taken          the object exists and is somebody else's
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pointsman.errors import Conflict, PointsmanError, Terminal, Unavailable

_TOO_LARGE = ("request is too large", "message larger than max")  # etcd's words and its client's, which come with a 500
_BUSY_SECONDS = 1.0  # where the API server does not say when to come back


class Busy(Unavailable):
    """The API server has too much to do."""

    def __init__(self, message: str, after: float) -> None:
        super().__init__(message)
        self.after = after


class Broke(Unavailable):
    """The API server failed: by a fault of its own, or at an apply with a field or value that it cannot decode."""


class Refused(Terminal):
    """The API server refuses the request; the message is its own."""


class Missing(Refused):
    """There is no such object, namespace or kind."""


class Taken(Refused):
    """An object of that name exists and somebody else owns its fields."""


def error(status: int, headers: Mapping[str, str], body: bytes) -> PointsmanError:
    """The error that an answer of 400 and above is."""
    said = _status(body)
    message = said.get("message") or body[:512].decode(errors="replace") or f"HTTP {status}"
    if status == HTTPStatus.CONFLICT:
        return Taken(message) if _fields_are_taken(said) else Conflict(message)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Busy(message, _seconds(headers.get("Retry-After")))
    too_large = any(words in message for words in _TOO_LARGE)
    if status == HTTPStatus.UNAUTHORIZED or (status >= HTTPStatus.INTERNAL_SERVER_ERROR and not too_large):
        failed = Broke if status == HTTPStatus.INTERNAL_SERVER_ERROR else Unavailable
        return failed(f"the API server answered {status}: {message}")
    if status == HTTPStatus.NOT_FOUND:
        return Missing(message)
    return Refused(f"it is larger than etcd can store: {message}" if too_large else message)


def _status(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) and said.get("kind") == "Status" else {}


def _fields_are_taken(said: Mapping[str, Any]) -> bool:
    causes = (said.get("details") or {}).get("causes") or ()
    return any(cause.get("reason") == "FieldManagerConflict" for cause in causes)


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header or _BUSY_SECONDS))
    except ValueError:  # a date: rare enough to come back soon
        return _BUSY_SECONDS
