"""Objects as Python reads and writes them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pointsman.api.modeldeployment import ModelDeploymentSpec
from pointsman.api.modelruntime import Metrics
from pointsman.api.rolloutpolicy import RolloutFields, RolloutPolicySpec

WRITTEN = {
    "model": {"version": "7", "storageUri": "pvc://models/churn/7", "format": {"name": "sklearn"}},
    "replicas": 4,
    "traffic": {"parentRefs": [{"name": "models", "sectionName": "web"}], "hostnames": ["churn.example.com"]},
    "rollout": {"policy": "careful", "whenUndecided": "Rollback", "capacity": {"maxSurge": "25%"}},
}


def test_what_is_read_is_written_again() -> None:
    assert ModelDeploymentSpec.model_validate(WRITTEN).dump() == WRITTEN


def test_fields_of_a_newer_crd_are_not_an_error() -> None:
    read = ModelDeploymentSpec.model_validate({**WRITTEN, "fromTheFuture": 1})
    assert read == ModelDeploymentSpec.model_validate(WRITTEN)


def test_an_object_does_not_change() -> None:
    spec = ModelDeploymentSpec.model_validate(WRITTEN)
    with pytest.raises(ValidationError, match="frozen"):
        spec.replicas = 5  # type: ignore[misc]


def test_inline_fields_have_no_defaults_so_that_the_policy_speaks() -> None:
    assert RolloutFields().dump() == {}
    assert RolloutPolicySpec().dump() == {
        "interval": "10s",
        "deadline": "2h",
        "whenUndecided": "Hold",
        "progressDeadline": "10m",
        "keepPrevious": "30m",
    }


def test_what_the_schema_leaves_out_python_fills_in() -> None:
    """ModelDeployment has no schema defaults, so its inline profile gets its path and unit when it is read."""
    metrics = Metrics.model_validate({"port": 8082, "latency": {"histogram": "request_seconds"}})
    assert metrics.path == "/metrics"
    assert metrics.latency is not None
    assert metrics.latency.unit == "s"


@pytest.mark.parametrize(
    "rollout",
    [
        {"interval": "soon"},
        {"confidence": {"falseRollback": "one"}},
        {"gates": [{"name": "E", "signal": "Errors"}]},
        {"gates": [{"name": "e", "signal": "Vibes"}]},
        {"steps": []},
    ],
)
def test_python_refuses_what_no_api_server_let_through(rollout: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RolloutFields.model_validate(rollout)
