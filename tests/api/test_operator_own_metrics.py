"""Gates on metrics that users name themselves, with the real operator: events that it counts, and a query with a threshold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.api.conftest import Site
from tests.api.operator_model import QUICK, Model
from tests.api.operator_prometheus import EVENTS, LIMITED

pytestmark = pytest.mark.bare

Make = Callable[..., Model]

ORDERS = {
    "name": "orders",
    "signal": "Events",
    "events": {"bad": f"{EVENTS}", "total": f"{EVENTS}", "arm": {"label": "revision", "is": "Revision"}},
    "tolerance": {"ratio": "2", "points": "1"},
}
MEMORY = {
    "name": "memory",
    "signal": "Threshold",
    "threshold": {"query": f'max({LIMITED}{{revision="$revision"}})', "max": "0.9", "for": "2s", "action": "Rollback"},
}


def test_events_decide_as_failures_do(model: Make) -> None:
    churn = model(rollout=QUICK | {"gates": [ORDERS, MEMORY]})
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2-bad")
    churn.until_ended("RolledBack")
    ended = churn.status["history"][0]
    assert ended["gate"] == "orders"
    assert "requests to the candidate were bad" in ended["message"]
    (attempt,) = churn.record(ended["revision"])["attempts"]
    memory = next(gate for gate in attempt["gates"] if gate["name"] == "memory")
    assert memory["value"] == "0.5"
    assert "a plain comparison, no error rate is claimed" in memory["message"]


def test_a_threshold_that_is_crossed_rolls_back(site: Site, model: Make) -> None:
    churn = model(rollout=QUICK | {"gates": [MEMORY], "steps": [{"canary": {"percent": 20}, "hold": "10m"}]})
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    churn.until_percent(20)
    site.prometheus.limited = 0.95
    try:
        churn.until_ended("RolledBack")
    finally:
        site.prometheus.limited = 0.5
    ended = churn.status["history"][0]
    assert (ended["reason"], ended["gate"]) == ("Harm", "memory")
    assert "memory: Harm: the answer is 0.95, which it should not be (at most 0.9), for" in ended["message"]


def test_a_query_that_cannot_be_confined_is_refused_before_anything_starts(model: Make) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    everywhere = MEMORY | {"threshold": {"query": "info(up)", "max": "1"}}
    churn.apply("2", rollout=QUICK | {"gates": [everywhere]})
    churn.until_says("Accepted", "False", "InvalidPolicy", "gate 'memory': threshold.query: column 1, at 'info'")
