"""What two replies to the same request amount to."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from pointsman.inspector.documents import UnreadableError
from pointsman.inspector.judgement import Asked, Judge, Reply
from tests.inspector.test_assignment import CANDIDATE, told


def ok(value: Any, **fields: Any) -> Reply:
    return Reply(outcome="ok", status=200, seconds=0.1, body=json.dumps({"v": value}).encode(), **fields)


ONE, TWO = ok(1), ok(2)
GARBAGE = Reply(outcome="ok", status=200, seconds=0.1, body=b"<html>")
REFUSED = Reply(outcome="refused", status=400, seconds=0.1)
BUSY = Reply(outcome="refused", status=429, seconds=0.1)
ERROR = Reply(outcome="error", status=500, seconds=0.1)
LATE = Reply(outcome="timeout", seconds=30)
GONE = Reply(outcome="unreachable", seconds=0)
LARGE = Reply(outcome="too_large", status=200, seconds=0.1)
SHED = Reply(outcome="shed", status=200, seconds=0.1)


@pytest.mark.parametrize(
    ("stable", "candidate", "handled", "agreed"),
    [
        (ONE, ONE, "compared", True),
        (ONE, TWO, "compared", False),
        (ONE, GARBAGE, "compared", False),
        (ONE, REFUSED, "compared", False),
        (ONE, LARGE, "compared", False),
        (REFUSED, ONE, "compared", False),
        (REFUSED, LARGE, "compared", False),
        (REFUSED, REFUSED, "refused", None),
        (GARBAGE, GARBAGE, "unparsed", None),
        (GARBAGE, ONE, "unparsed", None),
        (GARBAGE, REFUSED, "unparsed", None),
        (LARGE, LARGE, "too_large", None),
        (LARGE, ONE, "too_large", None),
        (ONE, ERROR, "failed", None),
        (ERROR, ONE, "failed", None),
        (ONE, LATE, "failed", None),
        (GONE, ONE, "failed", None),
        (REFUSED, ERROR, "failed", None),
        (ONE, BUSY, "failed", None),
        (BUSY, BUSY, "failed", None),
        (ONE, SHED, "shed", None),
        (SHED, ERROR, "shed", None),
    ],
)
def test_two_replies(stable: Reply, candidate: Reply, handled: str, agreed: bool | None) -> None:  # noqa: FBT001
    finding = Judge(told(protocol="Json", candidate=CANDIDATE)).compared(stable, candidate)
    assert (finding.handled, finding.agreed) == (handled, agreed)


@pytest.mark.parametrize(
    ("reply", "handled"),
    [
        (ONE, "watched"),
        (GARBAGE, "unparsed"),
        (REFUSED, "refused"),
        (ERROR, "failed"),
        (LATE, "failed"),
        (GONE, "failed"),
        (LARGE, "too_large"),
        (SHED, "shed"),
    ],
)
def test_one_reply_of_a_watch(reply: Reply, handled: str) -> None:
    assert Judge(told(protocol="Json")).watched(reply).handled == handled


def test_answers_are_compared_uncompressed() -> None:
    judge = Judge(told(protocol="Json", candidate=CANDIDATE))
    packed = Reply(outcome="ok", status=200, seconds=0.1, body=gzip.compress(ONE.body), content_encoding="gzip")
    assert judge.compared(ONE, packed).agreed is True
    assert judge.compared(packed, TWO).agreed is False


def test_a_stable_answer_without_what_is_compared_is_unparsed_and_a_candidates_does_not_agree() -> None:
    judge = Judge(told(protocol="Json", candidate=CANDIDATE, comparators=[{"kind": "Numeric", "output": "/v"}]))
    assert judge.compared(ok("a"), ONE).handled == "unparsed"
    assert judge.compared(ONE, ok("a")).agreed is False


def test_requests_have_to_be_json_unless_bytes_are_compared() -> None:
    opaque = Judge(told(protocol="Json", comparators=[{"kind": "Bytes"}], features=["/a"]))
    assert opaque.request(b"\xff\xd8 a picture", {}) == Asked(slice="", features=[None])
    assert opaque.request(b'{"a": 1}', {}) == Asked(slice="", features=[1])
    assert opaque.compared(GARBAGE, GARBAGE).agreed is True
    with pytest.raises(UnreadableError):
        Judge(told(protocol="Json")).request(b"\xff\xd8 a picture", {})
