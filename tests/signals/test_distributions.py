"""What inspectors count of answers and inputs, from their own pages to looks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pointsman.evidence.bins import Bins
from pointsman.evidence.profile import Profile
from pointsman.inspector.judgement import Asked, Conclusion, Judge, Reply
from pointsman.inspector.ledger import Ledger
from pointsman.inspector.norms import Norms
from pointsman.reference.file import Reference
from pointsman.signals.counts import look
from pointsman.signals.matching import PART, PRESENT, SCRAPED, STARTED
from pointsman.signals.profiles import PredictionsQuestion, ServedQuestion
from pointsman.signals.queries import plan
from pointsman.signals.reading import Answered, Counts, Faulty, NoData, Scale, Served, Watch
from pointsman.signals.samples import Failed, Sample
from tests.inspector.test_assignment import CANDIDATE, STABLE, told

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
PAIR = Watch("ml", STABLE["revision"], CANDIDATE["revision"], questions=(PredictionsQuestion("scores"),))
ALONE = Watch("ml", STABLE["revision"], "", questions=(ServedQuestion("watch"),))
SCALES = {
    "features": {"/age": {"edges": [18.0, 65.0]}, "/land": {"categories": ["de", "fr"]}},
    "predictions": {"/p": {"edges": [0.5]}},
}
_PARTS = {
    "pointsman_inspector_features_missing_total": "missing",
    "pointsman_inspector_predictions_missing_total": "missing",
    "pointsman_inspector_expected_ratio": "expected",
    "pointsman_inspector_allowed_ratio": "allowed",
    "process_start_time_seconds": STARTED,
    "pointsman_inspector_info": PRESENT,
}
_COUNTED = ("_bucket", "_values_total")


def scraped(ledger: Ledger, *, pod: str = "churn-i5f3a9c-1", started: float = 1000.0, age: float = 5.0) -> list[Sample]:
    """An inspector's page as the query shows it."""
    target = {"namespace": "ml", "pod": pod, "job": "inspectors", "instance": f"{pod}:8081"}
    found = [Sample({**target, PART: SCRAPED}, AT.timestamp() - age)]
    for family in text_string_to_metric_families(ledger.text().decode()):
        for one in family.samples:
            part, labels = _PARTS.get(one.name), {name: value for name, value in one.labels.items() if value}
            if part is not None:
                value = started if part == STARTED else one.value
                found.append(Sample({**labels, **target, PART: part}, value))
            elif one.name.endswith(_COUNTED) and "duration" not in one.name:
                found.append(Sample({**labels, **target}, one.value))
    return found


def asked(watch: Watch, *pages: list[Sample], failed: str = "") -> Answered:
    """What a look reads."""
    made = plan([watch])
    (query,) = made.queries
    answer = Failed(failed) if failed else tuple(sample for page in pages for sample in page)
    return look(made, {query: answer}, AT).read(watch).gates[watch.questions[0].gate]


def reply(score: float) -> Reply:
    return Reply(outcome="ok", status=200, seconds=0.1, body=b'{"p": %f}' % score)


def compared(*pairs: tuple[float, float]) -> Ledger:
    """An inspector that compared these answers."""
    assignment = told(protocol="Json", candidate=CANDIDATE, scales=SCALES)
    ledger, judge = Ledger(assignment), Judge(assignment)
    for stable, candidate in pairs:
        replies = (reply(stable), reply(candidate))
        features: list[Any] = [30, "de"]
        ledger.concluded(
            Conclusion(finding=judge.compared(*replies), replies=replies, asked=Asked(slice="", features=features))
        )
    return ledger


def watched(*answers: tuple[float, Any, Any], norms: Norms | None = None) -> Ledger:
    """An inspector of a version that serves alone: answers, ages and lands."""
    assignment = told(protocol="Json", scales=SCALES)
    ledger, judge = Ledger(assignment, norms, clock=AT.timestamp), Judge(assignment)
    for score, age, land in answers:
        replies = (reply(score),)
        ledger.concluded(
            Conclusion(finding=judge.watched(*replies), replies=replies, asked=Asked(slice="", features=[age, land]))
        )
    return ledger


def test_predictions_of_both_versions_are_cells_of_one_counter() -> None:
    seen = asked(PAIR, scraped(compared((0.2, 0.2), (0.2, 0.9), (0.9, 0.9))))
    assert isinstance(seen, Counts)
    assert seen.outputs == (Scale("/p", edges=(0.5,)),)
    assert [pod.cells for pod in seen.stable.pods.values()] == [(2, 3)]
    assert [pod.cells for pod in seen.candidate.pods.values()] == [(1, 3)]


def test_of_a_version_that_serves_alone_inputs_and_answers() -> None:
    seen = asked(ALONE, scraped(watched((0.2, 17, "de"), (0.9, 40, "es"), (0.9, "old", None))))
    assert isinstance(seen, Served)
    age, land = seen.features
    assert (age.scale, age.counts, age.missing) == (Scale("/age", edges=(18.0, 65.0)), (1, 1, 0), 1)
    assert (land.scale, land.counts, land.missing) == (Scale("/land", categories=("de", "fr")), (1, 0, 1), 1)
    (score,) = seen.predictions
    assert (score.scale.name, score.counts, score.norm) == ("/p", (1, 2), {})
    assert (seen.pod, seen.started) == ("churn-i5f3a9c-1", 1000.0)


def test_with_a_reference_what_is_expected() -> None:
    age = Profile(Bins("/age", edges=(18.0, 65.0)), np.array([[100, 800, 100]]))
    land = Profile(Bins("/land", categories=("de", "fr")), np.array([[600, 300, 100]]))
    score = Profile(Bins("/p", edges=(0.5,)), np.array([[700, 300]]))
    norms = Norms(Reference.of([age, land], [score]).dump().encode(), tolerance=0.03, where="reference.json")
    seen = asked(ALONE, scraped(watched((0.2, 17, "de"), norms=norms)))
    assert isinstance(seen, Served)
    expected = {one.scale.name: {key: round(share, 2) for key, (share, _) in one.norm.items()} for one in seen.features}
    assert expected == {"/age": {18.0: 0.9, 65.0: 0.1}, "/land": {"de": 0.6, "fr": 0.3, "other": 0.1}}
    ((share, allowed),) = seen.predictions[0].norm.values()
    assert round(share, 2) == 0.3
    assert 0.03 < allowed < 0.06  # a thousand rows do not say it better


@pytest.mark.parametrize(
    ("pages", "failed", "says"),
    [
        ([], "", "no target for the inspector of revision churn-81d0aa37"),
        ([scraped(watched())], "", "no target for the inspector of revision churn-81d0aa37"),  # it compares nothing
        ([scraped(compared(), age=61.0)], "", "is over 60 s old"),
        ([scraped(compared(), age=AT.timestamp())], "", "cannot scrape the inspector"),
        ([], "Prometheus is silent", "Prometheus is silent"),
    ],
)
def test_no_data(pages: list[list[Sample]], failed: str, says: str) -> None:
    seen = asked(PAIR, *pages, failed=failed)
    assert isinstance(seen, NoData)
    assert says in seen.reason


def test_the_inspector_that_began_last_is_the_one() -> None:
    before = scraped(compared((0.2, 0.2)), pod="old", started=1000.0)
    after = scraped(compared(), pod="new", started=2000.0)
    seen = asked(PAIR, before, after)
    assert isinstance(seen, Counts)
    assert list(seen.stable.pods) == ["new"]


def test_counters_that_cannot_be_true() -> None:
    page = [Sample(one.labels, float("nan")) if "le" in one.labels else one for one in scraped(compared((0.2, 0.2)))]
    assert isinstance(asked(PAIR, page), Faulty)


def test_all_that_are_watched_share_a_query() -> None:
    many = [Watch(f"team-{i}", f"m{i}-aaaaaaaa", "", questions=ALONE.questions) for i in range(100)]
    (query,) = plan(many).queries
    assert query.about == "what the inspectors of 100 revisions count"
