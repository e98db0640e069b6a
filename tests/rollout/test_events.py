"""Gates on events that users count: the same proof as for failures, with the label that tells the versions apart."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rollout.examples import rollout, serving
from tests.rollout.surroundings import Behaviour
from tests.rollout.world import World

REFUNDS = {
    "name": "refunds",
    "signal": "Events",
    "events": {
        "bad": 'refunds_total{app="shop"}',
        "total": 'orders_total{app="shop"}',
        "arm": {"label": "model_version", "is": "Version"},
    },
    "tolerance": {"ratio": "1.5", "points": "0.5"},
}


def sold(**how: Any) -> World:
    world = serving(spec=rollout(gates=[REFUNDS]), behaviour={"1": Behaviour(failures=0.02), "2": Behaviour(**how)})
    world.apply(version="2")
    return world


def test_a_version_with_more_bad_events_is_rolled_back() -> None:
    world = sold(failures=0.2)
    assert world.run(1800, until=lambda w: w.outcomes == [("2", "RolledBack", "Harm")]), world.status
    said = world.status.history[0]
    assert said.gate == "refunds"
    assert "requests to the candidate were bad" in said.message


def test_an_equal_version_is_promoted() -> None:
    world = sold(failures=0.02)
    assert world.run(3600, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")]), world.status


def test_no_event_of_the_candidate_is_no_missing_data_and_no_proof() -> None:
    """The exporter names a version with its first event: the first step begins, and nothing is promoted."""
    world = sold(failures=0.02)
    world.rps = 0.0
    assert world.run(300, until=lambda w: w.status.rollout is not None and w.running.phase == "Canary")
    assert not world.run(600, until=lambda w: bool(w.outcomes))
    assert world.condition("Observed")[0] == "True"


def test_bad_events_of_earlier_ones_are_no_data_until_there_are_events_enough() -> None:
    """Refunds of orders that were counted before: no share of anything, so nothing is claimed from them."""
    world = sold(failures=0.02)
    assert world.run(300, until=lambda w: w.share == 0.05)
    world.run(30)
    revision, world.rps = world.revision("2"), 0.0
    bad, total = world.sold[revision]
    world.sold[revision] = (bad + 50, total)
    world.run(20)
    assert world.condition("Observed") == ("False", "NoData")
    assert "50 bad events of 0 since the last look: count an event in `total` only when" in world.message("Observed")
    world.rps = 100.0
    assert world.run(120, until=lambda w: w.condition("Observed")[0] == "True")


@pytest.mark.parametrize(
    ("changes", "reason", "says"),
    [
        (
            {"events": {**REFUNDS["events"], "bad": "rate(refunds_total[5m])"}},  # type: ignore[dict-item]  a dict
            "InvalidPolicy",
            "gate 'refunds': events: bad: column 5, at '(': write a plain selector of counters",
        ),
        (
            {"events": {**REFUNDS["events"], "total": 'orders_total{revision="$revision"}'}},  # type: ignore[dict-item]
            "InvalidPolicy",
            "total: revision: there is no $revision here; there are $namespace, $deployment",
        ),
        (
            {"signal": "Threshold", "events": None, "threshold": {"query": "info(up)", "min": "1"}, "tolerance": None},
            "InvalidPolicy",
            "gate 'refunds': threshold.query: column 1, at 'info': `info` is no function that a gate can use",
        ),
    ],
)
def test_promql_that_cannot_be_used_is_refused_before_anything_starts(
    changes: dict[str, Any], reason: str, says: str
) -> None:
    gate = {key: value for key, value in {**REFUNDS, **changes}.items() if value is not None}
    world = serving()
    world.spec = {**world.spec, **rollout(gates=[gate])}
    world.apply(version="2")
    world.run(5)
    assert world.condition("Accepted") == ("False", reason)
    assert says in world.message("Accepted")
    assert world.status.candidate is None


def test_two_revisions_of_one_version_are_told_apart_by_their_names_only() -> None:
    world = serving(spec=rollout(gates=[REFUNDS]))
    world.spec = {**world.spec, "template": {"metadata": {"labels": {"team": "pricing"}}}}  # another revision
    world.apply(version="1")
    world.run(5)
    assert world.condition("Accepted") == ("False", "GateUnanswerable")
    assert "by the label model_version, and both are '1': write another model.version, or `is: Revision`" in (
        world.message("Accepted")
    )
    by_name = {**REFUNDS, "events": {**REFUNDS["events"], "arm": {"label": "revision", "is": "Revision"}}}  # type: ignore[dict-item]
    world.spec = {**world.spec, "rollout": rollout(gates=[by_name])["rollout"]}
    world.apply(version="1")
    world.run(5)
    assert world.condition("Accepted") == ("True", "Accepted")
