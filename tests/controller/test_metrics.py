"""The metrics are what docs/metrics.md says, and those of a rollout go with it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.metrics_core import Metric

from pointsman.api.conditions import condition
from pointsman.api.modeldeployment import Phase
from pointsman.controller.keys import Key
from pointsman.controller.metrics import Metrics
from pointsman.rollout.vigil import Vigil
from tests.rollout.examples import serving
from tests.rollout.world import World

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*?) \|", re.MULTILINE)
CHURN = Key("ModelDeployment", "ml", "churn")


@pytest.fixture(scope="module")
def world() -> World:
    """In the middle of a canary, with evidence."""
    found = serving()
    found.apply(version="2")
    found.run(150)
    assert found.running.phase == "Canary"
    return found


def busy(world: World) -> Metrics:
    """Everything has happened once."""
    metrics = Metrics()
    metrics.queue(lambda: 3, lambda: 1.5)
    metrics.watches(lambda: {"/apis/apps/v1/deployments": 4.0})
    metrics.reconciled("ok", 0.1)
    metrics.requested("apply", "HTTPRoute", 200)
    metrics.looked(1, 1, 0.1)
    metrics.dropped()
    metrics.led()
    metrics.rollout(CHURN, world.running, world.plans[-1].weighed)
    metrics.drift(CHURN, Vigil(revision="churn-1", kind="Model", evidence=2.0, level=1.0))
    metrics.conditions(CHURN, world.status.conditions)
    return metrics


def family(metrics: Metrics, name: str) -> Metric:
    return next(found for found in metrics.registry.collect() if found.name == name)


def exposed(found: Metric) -> str:
    return f"{found.name}_total" if found.type == "counter" else found.name


def test_the_document_lists_them_all_with_their_types_and_labels(world: World) -> None:
    shown = {
        (
            exposed(one),
            one.type,
            ", ".join(
                f"`{label}`"
                for label in dict.fromkeys(label for sample in one.samples for label in sample.labels if label != "le")
            ),
        )
        for one in busy(world).registry.collect()
    }
    assert {row.groups() for row in ROW.finditer(DOCUMENT.read_text(encoding="utf-8"))} == shown


def test_names_follow_prometheus_conventions(world: World) -> None:
    for one in busy(world).registry.collect():
        assert one.name.startswith("pointsman_")
        assert one.documentation.endswith(".")
        assert not one.name.endswith(("_total", "_count", "_sum", "_bucket", "_ms", "_percent"))


def test_a_rollout_is_seen_while_it_runs(world: World) -> None:
    metrics = busy(world)
    phases = {sample.labels["phase"]: sample.value for sample in family(metrics, "pointsman_rollouts").samples}
    assert {phase: count for phase, count in phases.items() if count} == {"Canary": 1}
    assert set(phases) == set(get_args(Phase))
    (weight,) = family(metrics, "pointsman_rollout_weight_ratio").samples
    assert (weight.labels, weight.value) == ({"namespace": "ml", "name": "churn"}, world.share)
    verdicts = {
        sample.labels["gate"]: sample.labels["verdict"] for sample in family(metrics, "pointsman_gate_verdict").samples
    }
    assert verdicts == {one.gate.name: one.verdict for one in world.plans[-1].weighed}
    harm, safety = (family(metrics, f"pointsman_gate_{what}_evidence").samples for what in ("harm", "safety"))
    assert {sample.labels["gate"] for sample in (*harm, *safety)} == set(verdicts)
    assert max(sample.value for sample in harm) < max(sample.value for sample in safety)


def test_nothing_of_a_rollout_is_left_when_it_is_over(world: World) -> None:
    metrics = busy(world)
    metrics.rollout(CHURN, None, ())
    metrics.drift(CHURN, None)
    metrics.conditions(CHURN, ())
    assert b"churn" not in metrics.text()
    assert sum(sample.value for sample in family(metrics, "pointsman_rollouts").samples) == 0


def test_the_deadline_is_a_time_unless_it_stands_still(world: World) -> None:
    metrics, name = busy(world), "pointsman_rollout_deadline_timestamp_seconds"
    (deadline,) = family(metrics, name).samples
    assert world.running.deadline_at is not None
    assert deadline.value == world.running.deadline_at.timestamp()
    stopped = world.running.model_copy(update={"clock_stopped_at": world.running.started_at})
    metrics.rollout(CHURN, stopped, ())
    assert family(metrics, name).samples == []


AS_THEY_SHOULD_BE = (
    ("Accepted", True),
    ("Ready", True),
    ("UpToDate", True),
    ("Observed", None),
    ("Paused", False),
    ("Drifted", False),
    ("Notified", True),
    ("Reconciling", False),
    ("Stalled", False),
)


@pytest.mark.parametrize(
    ("type_", "holds", "counts"),
    [
        *((type_, holds, False) for type_, holds in AS_THEY_SHOULD_BE),
        ("Accepted", False, True),
        ("Ready", False, True),
        ("UpToDate", False, True),
        ("Observed", False, True),
        ("Observed", True, False),
        ("Paused", True, True),
        ("Drifted", True, True),
        ("Notified", False, True),
        ("Reconciling", True, False),
        ("Stalled", True, True),
    ],
)
def test_a_condition_is_a_series_where_it_is_not_as_it_should_be(
    type_: str, *, holds: bool | None, counts: bool
) -> None:
    metrics = Metrics()
    said = condition(type_, holds=holds, reason="Why", now=datetime(2026, 3, 1, tzinfo=UTC))
    metrics.conditions(CHURN, [said])
    labels = [sample.labels for sample in family(metrics, "pointsman_condition").samples]
    assert labels == ([{"namespace": "ml", "name": "churn", "type": type_, "reason": "Why"}] if counts else [])


def test_outcomes_are_there_before_the_first_of_them() -> None:
    metrics = Metrics()
    metrics.ended("Promoted")
    counts = {
        sample.labels["outcome"]: sample.value
        for sample in family(metrics, "pointsman_rollouts_ended").samples
        if sample.name.endswith("_total")
    }
    assert counts == {"Promoted": 1, "RolledBack": 0, "Aborted": 0, "Superseded": 0}


def test_drift_is_seen_while_a_version_is_watched(world: World) -> None:
    metrics = busy(world)
    found = {sample.labels["kind"]: sample.value for sample in family(metrics, "pointsman_drifted").samples}
    assert found == {"Inputs": 0, "InputsAndPredictions": 0, "Predictions": 0, "Model": 1}
    (evidence,) = family(metrics, "pointsman_drift_evidence_ratio").samples
    assert evidence.value == 2.0
    metrics.drift(CHURN, None)
    assert family(metrics, "pointsman_drifted").samples == []
