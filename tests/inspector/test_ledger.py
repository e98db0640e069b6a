"""The counters, whatever is counted."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pointsman.inspector.assignment import Assignment
from pointsman.inspector.judgement import Asked, Conclusion, Judge, Reply
from pointsman.inspector.ledger import SECONDS, Ledger
from tests.inspector.test_assignment import CANDIDATE, told
from tests.inspector.test_documents import JSON
from tests.sizes import examples

DEEP = json.loads('{"a": ' + "[" * 40 + "]" * 40 + "}")
ASKED = st.builds(
    Asked, slice=st.text(min_size=1), features=st.tuples(st.none() | st.integers() | st.floats() | st.text())
)


def replied(document: Any, seconds: float = 0.1) -> Reply:
    return Reply(outcome="ok", status=200, seconds=seconds, body=json.dumps(document).encode())


def watching(**fields: Any) -> Assignment:
    return told(
        protocol="Json", candidate=CANDIDATE, features=["/age"], slices={"header": "x-tenant", "max": 2}, **fields
    )


@settings(max_examples=examples(10))
@given(st.lists(st.tuples(JSON | st.just(DEEP), JSON, ASKED)), st.booleans())
def test_whatever_is_answered_and_asked_can_be_scraped(pairs: list[tuple[Any, Any, Asked]], scaled: bool) -> None:  # noqa: FBT001
    assignment = watching(scales={"predictions": {"/a": {"edges": [0]}}} if scaled else {})
    judge, ledger = Judge(assignment), Ledger(assignment)
    for one, other, asked in pairs:
        ledger.received += 1
        replies = (replied(one), replied(other))
        ledger.concluded(Conclusion(finding=judge.compared(*replies), replies=replies, asked=asked))
    samples = [one for family in text_string_to_metric_families(ledger.text().decode()) for one in family.samples]
    assert ledger.in_flight == 0
    compared = [one.value for one in samples if one.name.endswith("comparisons_total") and one.labels["slice"] == ""]
    slices = [one.value for one in samples if one.name.endswith("comparisons_total") and one.labels["slice"] != ""]
    assert sum(compared) == sum(slices) == ledger.handled["compared"]
    assert len({one.labels["slice"] for one in samples if "slice" in one.labels}) <= 2 + 3


def test_every_series_of_a_slice_is_there_from_its_first_request_on() -> None:
    ledger = Ledger(watching())
    assert 'comparisons_total{agreed="false",revision="churn-81d0aa37",slice=""} 0.0' in ledger.text().decode()
    replies = (replied({"v": 1}), replied({"v": 1}))
    finding = Judge(watching()).compared(*replies)
    ledger.concluded(Conclusion(finding=finding, replies=replies, asked=Asked(slice="acme", features=[None])))
    text = ledger.text().decode()
    assert 'comparisons_total{agreed="true",revision="churn-81d0aa37",slice="acme"} 1.0' in text
    assert 'comparisons_total{agreed="false",revision="churn-81d0aa37",slice="acme"} 0.0' in text
    assert 'slice_failures_total{revision="churn-81d0aa37",slice="acme"} 0.0' in text


def test_the_edges_of_durations_answer_a_tolerance_of_a_fifth() -> None:
    assert SECONDS[0] == 0.001
    assert SECONDS[-1] > 60
    assert max(later / edge for edge, later in zip(SECONDS, SECONDS[2:], strict=False)) < 1.2


def test_a_duration_is_in_the_first_bucket_that_it_does_not_exceed() -> None:
    ledger = Ledger(told(protocol="Json"))
    for seconds in (0.0005, 0.001, 0.00101, 70.0):
        reply = replied({}, seconds)
        ledger.concluded(Conclusion(finding=Judge(told(protocol="Json")).watched(reply), replies=(reply,)))
    text = ledger.text().decode()
    for le, count in (("0.001", 2), ("0.001091", 3), ("60.1", 3), ("+Inf", 4)):
        assert f'replay_duration_seconds_bucket{{le="{le}",revision="churn-5f3a9c1b"}} {count}.0' in text
