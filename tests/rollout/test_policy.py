"""Which policy is in force: what is written inline, over the named policy, over the defaults; and what none can be."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.api.modelruntime import Metrics
from pointsman.api.rolloutpolicy import RolloutFields, RolloutPolicySpec
from pointsman.rollout.policy import effective, faults, resolve
from tests.rollout.examples import MLSERVER

METRICS = Metrics.model_validate(MLSERVER["metrics"])
APPROVAL = {"approval": {}}
SHADOW = {"shadow": {"percent": 20}, "hold": "5m"}
SCORES = {"name": "scores", "signal": "PredictionDrift"}
AGREEMENT = {"name": "agreement", "signal": "Agreement"}
WATCH = {
    "percent": 2,
    "interval": "1m",
    "meanTimeBetweenFalseAlarms": "30d",
    "tolerance": {"points": "3"},
    "onPredictionDrift": "Alert",
}


def in_force(inline: dict[str, Any] | None = None, named: dict[str, Any] | None = None) -> dict[str, Any]:
    return effective(
        None if inline is None else RolloutFields.model_validate(inline),
        None if named is None else RolloutPolicySpec.model_validate(named),
        METRICS,
    ).dump()


def canary(percent: int | str, hold: str = "5m") -> dict[str, Any]:
    return {"canary": {"percent": percent}, "hold": hold}


def test_defaults() -> None:
    found = in_force()
    assert found["steps"] == [canary(5), canary(25), canary(50)]
    assert [(gate["name"], gate["tolerance"]) for gate in found["gates"]] == [
        ("errors", {"ratio": "1.5", "points": "0.1"}),
        ("latency", {"ratio": "1.2"}),
    ]
    assert all(gate["harm"] == {"ratio": "1.25"} for gate in found["gates"])
    assert found["confidence"] == {"falseRollback": "1", "falsePromotion": "5"}
    assert found["capacity"] == {"maxSurge": "25%", "maxUnavailable": 0}
    assert found["warmup"] == {"duration": "30s", "requests": 50}
    assert (found["interval"], found["deadline"], found["progressDeadline"]) == ("10s", "2h", "10m")
    assert (found["whenUndecided"], found["keepPrevious"]) == ("Hold", "30m")


def test_a_runtime_without_latency_has_no_latency_gate_by_default() -> None:
    assert [gate.name for gate in effective(None, None, None).gates or ()] == ["errors"]


@pytest.mark.parametrize(
    ("field", "inline", "named", "found"),
    [
        ("deadline", None, {"deadline": "1h"}, "1h"),  # the policy beats the default
        ("deadline", {"deadline": "3h"}, {"deadline": "1h"}, "3h"),  # inline beats the policy
        ("interval", {"interval": "30s"}, None, "30s"),
        ("deadline", {"interval": "30s"}, {"deadline": "1h"}, "1h"),  # field by field
        ("steps", {"steps": [canary(10)]}, {"steps": [canary(1), canary(2)]}, [canary(10)]),  # lists whole
        ("steps", {"steps": [{"canary": {"percent": 10}}]}, None, [canary(10)]),  # hold has a default of its own
        ("steps", None, {"steps": [canary(1), canary(2)]}, [canary(1), canary(2)]),
        ("gates", {"gates": []}, None, []),  # nobody is asked, said explicitly
        ("capacity", {"capacity": {"maxSurge": 2}}, None, {"maxSurge": 2, "maxUnavailable": 0}),
        (
            "warmup",
            {"warmup": {"duration": "5s"}},
            {"warmup": {"requests": 7}},
            {"duration": "5s", "requests": 7},  # structs are merged
        ),
        ("gates", {"steps": [APPROVAL]}, None, []),  # blue/green: a person compares
        (
            "gates",
            {"steps": [SHADOW], "gates": [{**AGREEMENT, "slices": {"header": "x-tenant"}}]},
            None,
            [{**AGREEMENT, "atLeast": "99", "slices": {"header": "x-tenant", "max": 20}, "required": True}],
        ),
        (
            "gates",
            {"gates": [{"name": "memory", "signal": "Threshold", "threshold": {"query": "up", "min": "1"}}]},
            None,
            [
                {
                    "name": "memory",
                    "signal": "Threshold",
                    "threshold": {"query": "up", "min": "1", "for": "5m", "action": "Pause"},
                    "required": True,
                }
            ],
        ),
        ("watch", {"watch": {"percent": 5}}, {"watch": {"interval": "5m"}}, {**WATCH, "percent": 5, "interval": "5m"}),
        ("compare", {"steps": [SHADOW]}, {"compare": {"features": ["/a"]}}, {"features": ["/a"]}),
    ],
)
def test_layers(field: str, inline: dict[str, Any] | None, named: dict[str, Any] | None, found: object) -> None:
    assert in_force(inline, named)[field] == found


@pytest.mark.parametrize(
    ("inline", "protocol"),
    [
        ({"steps": [SHADOW]}, "OpenAI"),  # the runtime's
        ({"watch": {}}, "OpenAI"),
        ({"steps": [SHADOW], "compare": {"protocol": "Json"}}, "Json"),  # the policy's wins
        ({}, None),  # nobody compares, so nobody asks
    ],
)
def test_bodies_are_read_as_the_runtime_says_where_the_policy_does_not(
    inline: dict[str, Any], protocol: str | None
) -> None:
    compare = effective(RolloutFields.model_validate(inline), None, METRICS, "OpenAI").compare
    assert (compare and compare.protocol) == protocol


@pytest.mark.parametrize("inline", [{}, {"steps": [SHADOW, APPROVAL], "gates": [AGREEMENT], "watch": {}}])
def test_what_is_frozen_needs_no_default_later(inline: dict[str, Any]) -> None:
    """An operator with other defaults reads the same policy from the revision."""
    frozen = effective(RolloutFields.model_validate(inline), None, METRICS, "OpenAI")
    assert effective(frozen, None, None) == frozen


def test_an_approval_keeps_the_shares_of_the_step_before() -> None:
    steps = [APPROVAL, SHADOW, APPROVAL, canary(5), APPROVAL, canary(50)]
    stages = resolve(effective(RolloutFields.model_validate({"steps": steps}), None, METRICS)).stages
    assert [(stage.kind, stage.share, stage.mirror) for stage in stages] == [
        ("Approval", 0, 0),
        ("Shadow", 0, 2000),
        ("Approval", 0, 2000),
        ("Canary", 500, 0),
        ("Approval", 500, 0),
        ("Canary", 5000, 0),
    ]


@pytest.mark.parametrize(
    ("inline", "replicas", "fault"),
    [
        ({}, 1, None),
        ({}, 4, None),
        ({"steps": [canary(5), APPROVAL, canary(50)]}, 4, None),
        ({"steps": [canary(25), canary(5)]}, 4, "steps[1].canary.percent is 5, not above the step before (25)"),
        ({"steps": [canary(25), APPROVAL, canary(25)]}, 4, "steps[2].canary.percent is 25, not above"),
        ({"watch": {"meanTimeBetweenFalseAlarms": "1h", "interval": "30m"}}, 4, None),
        (
            {"watch": {"meanTimeBetweenFalseAlarms": "1h", "interval": "1h"}},
            4,
            "watch.meanTimeBetweenFalseAlarms must be longer than watch.interval",
        ),
        ({"watch": {"tolerance": {"points": "100"}}}, 4, "watch.tolerance.points must be less than 100"),
        (
            {"steps": [SHADOW], "gates": [{**SCORES, "tolerance": {"points": "100"}}]},
            4,
            "gate 'scores': tolerance.points must be less than 100",
        ),
        ({"capacity": {"maxSurge": 0}}, 4, "maxSurge 0 is 0 pods and maxUnavailable 0 is 0; write maxSurge: 1"),
        ({"capacity": {"maxSurge": 0, "maxUnavailable": "20%"}}, 4, "maxUnavailable 20% is 0"),
        ({"capacity": {"maxSurge": 0, "maxUnavailable": 1}}, 4, None),
        ({"capacity": {"maxSurge": 0, "maxUnavailable": 1}}, 1, "one replica needs capacity.maxSurge of at least 1"),
        ({"steps": [APPROVAL]}, 4, 'need capacity.maxSurge "100%"'),
        ({"steps": [APPROVAL], "capacity": {"maxSurge": "100%"}}, 4, None),
        ({"steps": [APPROVAL], "capacity": {"maxSurge": 4}}, 4, None),
        ({"steps": [SHADOW, APPROVAL], "gates": [AGREEMENT]}, 4, None),
        ({"gates": [AGREEMENT]}, 4, "gate 'agreement' of signal Agreement compares answers to mirrored requests"),
        ({"compare": {"protocol": "Json", "comparators": [{"kind": "Bytes"}]}}, 4, None),
        (
            {"compare": {"protocol": "Json", "comparators": [{"kind": "Label", "output": "label"}]}},
            4,
            "compare.comparators[0].output: with protocol Json write a JSON pointer, such as /label",
        ),
        (
            {"steps": [APPROVAL], "capacity": {"maxSurge": "100%"}, "gates": [{"name": "e", "signal": "Errors"}]},
            4,
            "remove `gates` or add a canary step",
        ),
    ],
)
def test_faults_of_a_policy(inline: dict[str, Any], replicas: int, fault: str | None) -> None:
    found = faults(effective(RolloutFields.model_validate(inline), None, METRICS), replicas)
    assert (found is None) == (fault is None)
    assert (fault or "") in (found or "")
