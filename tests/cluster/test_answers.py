from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.cluster.answers import Broke, Busy, Missing, Refused, Taken, error
from pointsman.errors import Conflict, PointsmanError, Retryable, Terminal, Unavailable


def said(message: str, *causes: str) -> bytes:
    details = {"causes": [{"reason": cause} for cause in causes]}
    return json.dumps({"kind": "Status", "message": message, "details": details}).encode()


ANSWERS = [
    (409, said("the object has been modified"), Conflict),
    (409, said("conflict with kubectl: .spec.selector", "FieldManagerConflict"), Taken),
    (404, said('modelrevisions "a" not found'), Missing),
    (422, said("spec.ports: Required value", "FieldValueRequired"), Refused),
    (403, said("exceeded quota"), Refused),
    (400, b"<html>", Refused),
    (401, said("Unauthorized"), Unavailable),
    (429, said("too many requests"), Busy),
    (500, b"", Broke),
    (500, said("etcdserver: request is too large"), Refused),
    (500, said("rpc error: desc = trying to send message larger than max (2202731 vs. 2097152)"), Refused),
    (503, b"no endpoints", Unavailable),
]


@pytest.mark.parametrize(("status", "body", "expected"), ANSWERS)
def test_status_decides_what_to_do_next(status: int, body: bytes, expected: type[PointsmanError]) -> None:
    found = error(status, {}, body)
    assert type(found) is expected
    assert isinstance(found, Retryable) is not isinstance(found, Terminal)


def test_the_words_are_the_api_servers() -> None:
    assert str(error(422, {}, said("spec.ports: Required value"))) == "spec.ports: Required value"
    assert str(error(400, {}, b"<html>bad</html>")) == "<html>bad</html>"
    assert str(error(418, {}, b"")) == "HTTP 418"


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("0.5", 0.5), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0), (None, 1.0), ("-1", 0.0)]
)
def test_a_busy_api_server_says_when_to_come_back(header: str | None, seconds: float) -> None:
    headers: dict[str, Any] = {} if header is None else {"Retry-After": header}
    busy = error(429, headers, b"")
    assert isinstance(busy, Busy)
    assert busy.after == seconds
