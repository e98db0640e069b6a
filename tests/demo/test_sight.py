"""What the demo reads out of the cluster's answers."""

from __future__ import annotations

from typing import Any

import pytest

from hack.demo import sight
from hack.demo.sight import Arm, End, Gate, State

ROLLING: dict[str, Any] = {
    "status": {
        "stable": {"revision": "cells-1", "version": "v1", "replicas": 2, "readyReplicas": 2},
        "candidate": {"revision": "cells-2", "version": "v2", "replicas": 1},
        "rollout": {
            "attempt": 1,
            "phase": "Canary",
            "step": 1,
            "percent": 5,
            "shadowPercent": 20,
            "message": "holding",
        },
        "conditions": [{"type": "Ready", "status": "True"}],
        "history": [{"version": "v0", "outcome": "RolledBack", "reason": "Harm", "gate": "latency", "message": "slow"}],
    }
}
REVISION = {
    "status": {
        "attempts": [
            {"attempt": 2, "gates": [{"name": "errors", "verdict": "Undecided", "message": "more"}]},
            {"attempt": 1, "gates": [{"name": "errors", "verdict": "Harm"}]},
        ]
    }
}


def test_a_rollout_as_it_runs() -> None:
    assert sight.state(ROLLING, REVISION) == State(
        stable=Arm("v1", "cells-1", 2, 2),
        candidate=Arm("v2", "cells-2", 1, 0),
        attempt=1,
        phase="Canary",
        step=1,
        percent=5.0,
        mirrored=20.0,
        message="holding",
        ready=True,
        gates=(Gate("errors", "Undecided", "more"),),
    )


@pytest.mark.parametrize("nothing", [{}, {"status": {}}, {"metadata": {"name": "cells"}}])
def test_before_the_operator_has_said_anything(nothing: dict[str, Any]) -> None:
    assert sight.state(nothing, None) == State()
    assert sight.end(nothing, "v1") is None


def test_after_a_rollout_the_condition_has_the_words() -> None:
    done = {
        "status": {"conditions": [{"type": "UpToDate", "status": "True", "message": "version v2 takes all traffic"}]}
    }
    assert sight.state(done, None).message == "version v2 takes all traffic"


def test_the_operator_says_why_it_cannot_see() -> None:
    condition = {"type": "Observed", "status": "False", "message": "Prometheus does not answer"}
    assert sight.state({"status": {"conditions": [condition]}}, None).blind == "Prometheus does not answer"
    assert sight.state({"status": {"conditions": [condition | {"status": "True"}]}}, None).blind == ""


def test_how_a_version_ended() -> None:
    assert sight.end(ROLLING, "v0") == End("RolledBack", "latency", "Harm", "slow")
    assert sight.end(ROLLING, "v2") is None


METRICS = """\
# TYPE envoy_cluster_upstream_rq_total counter
envoy_cluster_upstream_rq_total{envoy_cluster_name="service/pointsman-demo/cells-1/80/http"} 1200
envoy_cluster_upstream_rq_total{envoy_cluster_name="service/pointsman-demo/cells-2/80/http"} 63
envoy_cluster_upstream_rq_total{envoy_cluster_name="service/other/cells-2/80/http"} 9
envoy_cluster_upstream_rq_total{envoy_cluster_name="prometheus_stats"} 5
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="service/pointsman-demo/cells-1/80/http"} 1200
"""


def test_the_gateways_counters_by_service() -> None:
    assert sight.requests_by_service(METRICS, "pointsman-demo") == {"cells-1": 1200, "cells-2": 63}
