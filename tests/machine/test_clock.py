"""The operator's clock is set in the middle of a rollout: harm is found as soon as without that, while Prometheus has data for its time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.machine.test_every_write import serving
from tests.rollout.surroundings import Behaviour


@pytest.mark.parametrize("seconds", [-86400, -600, -10, 10, 60])
def test_harm_is_found_whatever_the_clock_did(seconds: int) -> None:
    cluster, promises = serving(routed=True)
    cluster.specify(model={**cluster.written["spec"]["model"], "version": "2"})
    assert cluster.run(30, until=lambda: (cluster.rollout or {}).get("step") == 1)
    cluster.run(5)
    cluster.leader.skew = timedelta(seconds=seconds)
    cluster.behaviour["2"] = Behaviour(failures=0.4)
    promises.look()
    cluster.run(30)
    assert [entry["outcome"] for entry in cluster.status["history"]] == ["RolledBack"]
