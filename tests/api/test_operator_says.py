"""What the operator says of itself while it works: one line of the log for each decision, and its metrics."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest

from tests.api.conftest import Site
from tests.api.operator_model import QUICK, Model
from tests.api.operator_server import Object, eventually

pytestmark = pytest.mark.bare

Make = Callable[..., Model]


def decisions(site: Site, model: Model, last: str) -> list[Object]:
    """Its lines, in their order, up to the last: a line comes a moment after the status that it tells of."""

    def said() -> list[Object]:
        lines = [json.loads(line) for line in site.operator.log.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["event"] == "decided" and line["key"].endswith(f"/{model.name}")]

    return eventually(said, lambda lines: any(line["what"] == last for line in lines))


def test_every_decision_of_a_promotion_is_one_line(site: Site, model: Make) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    churn.until_ended("Promoted")
    said = decisions(site, churn, "Promoted")
    assert len({(line["what"], line["from"], line["to"]) for line in said}) == len(said)
    told = [line["what"] for line in said]
    assert [what for what in told if what in ("FirstVersion", "RolloutStarted", "StepStarted", "Promoted")] == [
        "FirstVersion",
        "RolloutStarted",
        "StepStarted",
        "StepStarted",
        "Promoted",
    ]
    assert all(before["to"] == after["from"] for before, after in itertools.pairwise(said[1:]))
    assert {line["revision"] for line in said[1:]} == {churn.revision()}
    assert all(line["message"] for line in said if line["what"] in ("Promoted", "StepStarted"))


def test_a_rollback_says_its_reason_once(site: Site, model: Make) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2-bad")
    churn.until_ended("RolledBack")
    (ended,) = [line for line in decisions(site, churn, "RolledBack") if line["what"] == "RolledBack"]
    assert (ended["reason"], ended["to"]) == ("Harm: errors", "RolledBack")
    assert ended["from"].startswith("Canary step")
    assert "errors: Harm" in ended["message"]


def test_metrics_of_a_rollout_come_and_go_with_it(site: Site, model: Make) -> None:
    churn = model(rollout=QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "1h"}]})
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    churn.until_percent(20)

    def shown() -> dict[str, float]:
        return {
            name: value
            for name, value in site.operator.metrics().items()
            if f'name="{churn.name}"' in name and not name.startswith("pointsman_condition")
        }

    seen = eventually(shown, lambda found: any('verdict="Safe"' in name for name in found))
    weight = next(value for name, value in seen.items() if name.startswith("pointsman_rollout_weight_ratio"))
    assert weight == 0.2
    assert {name.partition("{")[0] for name in seen} == {
        "pointsman_rollout_weight_ratio",
        "pointsman_rollout_deadline_timestamp_seconds",
        "pointsman_gate_verdict",
        "pointsman_gate_harm_evidence",
        "pointsman_gate_safety_evidence",
    }
    everything = site.operator.metrics()
    assert everything['pointsman_rollouts{phase="Canary"}'] >= 1
    assert max(value for name, value in everything.items() if name.startswith("pointsman_watch_silence_seconds")) < 120
    before = everything['pointsman_rollouts_ended_total{outcome="Aborted"}']
    churn.annotate("abort", f"{churn.revision('candidate')}/1")
    churn.until_ended("Aborted")
    eventually(shown, lambda found: not found)
    said = [name for name in site.operator.metrics() if name.startswith("pointsman_condition") and churn.name in name]
    assert any('type="UpToDate"' in name for name in said), "what is not as it should be is shown as long as it is so"
    aborted = 'pointsman_rollouts_ended_total{outcome="Aborted"}'
    eventually(lambda: site.operator.metrics()[aborted], lambda count: count == before + 1)
