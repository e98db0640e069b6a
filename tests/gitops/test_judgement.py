"""What Argo CD and Flux make of a model at every moment of a real rollout, by their own engines, on the bare API server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hack.gitops import judges
from tests.api.conftest import Site
from tests.api.operator_model import Model
from tests.gitops.record import GROUP
from tests.gitops.stories import STORIES, Story

pytestmark = pytest.mark.bare

FLUX = {"healthy": "Current", "progressing": "InProgress", "suspended": "InProgress", "degraded": "Failed"}
"""What Flux waits for (InProgress) and gives up on (Failed), by Argo CD's word: a rollout that waits for a person is waited for."""


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_argo_cd_and_flux_see_what_the_operator_says(site: Site, model: Callable[..., Model], story: Story) -> None:
    for moment in story(site, model):
        health = (GROUP / moment.kind / "health.lua").read_text(encoding="utf-8")
        (argo,) = judges.lua(health, [moment.object])
        expected = moment.name.partition("_")[0]
        assert argo.result["status"].lower() == expected, moment
        if moment.kind != "ModelRevision":  # nobody keeps it in Git, and it has no conditions
            assert judges.kstatus([moment.object]) == [FLUX[expected]], moment


def test_what_the_operator_has_not_seen_yet_is_not_done(site: Site, model: Callable[..., Model]) -> None:
    churn = model()
    written = {"apiVersion": "pointsman.dev/v1alpha1", "kind": "ModelDeployment", "spec": churn.spec}
    created = site.server.dry_run({**written, "metadata": {"name": churn.name}})
    assert created["status"] == {"observedGeneration": -1}
    assert judges.kstatus([created]) == ["InProgress"]
