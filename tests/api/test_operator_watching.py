"""A version that serves alone is watched on a real API server: its mirror, its inspector and what is said come and go together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pointsman.api import conditions, names
from pointsman.cluster.kinds import GATEWAY_CLASS, WORKLOAD
from pointsman.rollout.mirroring import MIRROR, MIRROR_PERCENT
from tests.api.conftest import Cleanup, Site
from tests.api.operator_model import QUICK, Model
from tests.api.operator_server import eventually

pytestmark = pytest.mark.bare

WATCHED = QUICK | {
    "compare": {"protocol": "OpenInference", "features": ["/inputs/0/data/3"]},
    "watch": {"percent": 20, "interval": "1s"},
}


@pytest.fixture
def mirroring(site: Site, cleanup: Cleanup) -> None:
    """The class of the tests' Gateway says that it can mirror."""
    name = "tests"
    cleanup(GATEWAY_CLASS, name)
    site.server.apply(
        {
            "apiVersion": GATEWAY_CLASS.api_version,
            "kind": GATEWAY_CLASS.name,
            "metadata": {"name": name},
            "spec": {"controllerName": "test.pointsman.dev/gateway"},
        }
    )
    features = [{"name": feature} for feature in sorted((MIRROR, MIRROR_PERCENT))]
    site.server.merge(GATEWAY_CLASS, name, {"status": {"supportedFeatures": features}}, "status")


def copies(churn: Model) -> list[Any]:
    """Where its route's requests are copied to, and how many of them in percent."""
    found = churn.children().get(("HTTPRoute", churn.name))
    filters = [] if found is None else found["spec"]["rules"][0].get("filters", [])
    return [(one["requestMirror"]["backendRef"]["name"], one["requestMirror"].get("percent")) for one in filters]


@pytest.mark.usefixtures("mirroring")
def test_what_serves_alone_is_watched_while_the_policy_says_so(site: Site, model: Callable[..., Model]) -> None:
    churn = model(rollout=WATCHED)
    churn.apply("1")
    churn.until_serves("1")
    inspector = names.inspector(churn.revision())
    eventually(lambda: copies(churn), lambda found: found == [(inspector, 20)])
    churn.until_says(
        conditions.DRIFTED, "Unknown", "NoData", f"no target for the inspector of revision {churn.revision()}"
    )
    churn.until_says("Ready", "True", "Serving")
    churn.apply(rollout=QUICK)
    eventually(lambda: copies(churn), lambda found: found == [])
    eventually(lambda: site.server.get(WORKLOAD, inspector), lambda found: found is None)
    churn.until(lambda status: all(one["type"] != conditions.DRIFTED for one in status["conditions"]))
    assert churn.share(churn.revision()) == 100
