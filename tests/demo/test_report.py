"""The report says what became of each version, and the demo is disappointed by any other end than the story's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hack.demo import report
from hack.demo.chapters import STORY, Chapter
from hack.demo.sight import End

if TYPE_CHECKING:
    from pathlib import Path

SLOW = Chapter("v3", "slow", "RolledBack", gate="latency")
DRIFTING = Chapter("v3", "slow, and not blamed", "RolledBack", gate="latency", drifts="/inputs/0/data/1")
BROKEN = Chapter("v5", "broken", "RolledBack", reason="CandidateUnavailable", unseen=True)
ROW = report.Row("v3", "RolledBack", "latency", "Harm", 41.23, 160, 0, "latency: 12 times as slow")
UNAVAILABLE = report.Row("v5", "RolledBack", "", "CandidateUnavailable", 61.0, 0, 0, "not ready for 60 s")


def test_the_story_is_the_issues() -> None:
    assert [(it.version, it.outcome, it.gate) for it in STORY] == [
        ("v1", "Serving", ""),
        ("v2", "Promoted", ""),
        ("v3", "RolledBack", "latency"),
        ("v4", "RolledBack", "errors"),
        ("v5", "RolledBack", ""),
        ("v6", "Aborted", ""),
        ("v7", "RolledBack", "answers"),
        ("v8", "Promoted", ""),
        ("v9", "Promoted", ""),
    ]


@pytest.mark.parametrize(
    ("chapter", "row", "complaint"),
    [
        (SLOW, ROW, None),
        (BROKEN, UNAVAILABLE, None),
        (
            SLOW,
            replace(ROW, outcome="Promoted", gate=""),
            "should have ended as RolledBack by the gate latency, and ended as Promoted",
        ),
        (SLOW, replace(ROW, gate="errors"), "ended as RolledBack by the gate errors: latency: 12 times as slow"),
        (SLOW, replace(ROW, failed_requests=3), "3 requests of users failed while v3 was on trial"),
        (DRIFTING, replace(ROW, drifted="the inputs drifted: /inputs/0/data/1 over 23"), None),
        (DRIFTING, ROW, "/inputs/0/data/1 should have drifted, and the operator says: nothing"),
        (BROKEN, replace(UNAVAILABLE, reason="CandidateCrashing"), "ended as RolledBack (CandidateCrashing)"),
        (BROKEN, replace(UNAVAILABLE, candidate_requests=1), "No user should have seen v5, and 1 requests were sent"),
    ],
)
def test_any_other_end_is_a_fault(chapter: Chapter, row: report.Row, complaint: str | None) -> None:
    found = report.faults(chapter, row)
    assert len(found) == (complaint is not None)
    assert complaint is None or complaint in found[0]


def test_a_version_that_fails_for_users_is_expected_to_where_errors_decide() -> None:
    chapter = Chapter("v4", "fails", "RolledBack", gate="errors")
    assert not report.faults(chapter, replace(ROW, version="v4", gate="errors", failed_requests=4))


def test_the_sentence_about_a_version_without_an_end() -> None:
    said = report.never_ended(SLOW, seconds=180.0, message="")
    assert (
        said
        == "v3 should have ended as RolledBack by the gate latency and had not after 180 s; the operator says: nothing"
    )


def test_the_file_is_a_list_of_rows_each_with_the_policy_and_rate(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    report.write(file, [ROW], policies=[{"interval": "5s"}], rate=80.0)
    assert json.loads(file.read_text()) == [
        {
            "version": "v3",
            "outcome": "RolledBack",
            "gate": "latency",
            "seconds": 41.2,
            "candidateRequests": 160,
            "failedRequests": 0,
            "message": "latency: 12 times as slow",
            "course": [],
            "requestsPerSecond": 80.0,
            "policy": {"interval": "5s"},
        }
    ]


def test_a_row_keeps_the_operators_words() -> None:
    end = End("RolledBack", "latency", "Harm", "12 times as slow")
    row = report.row(SLOW, end, seconds=1.0, candidate_requests=2, failed_requests=3, drifted="")
    assert (row.outcome, row.gate, row.reason, row.message) == ("RolledBack", "latency", "Harm", "12 times as slow")
