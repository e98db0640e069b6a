"""What people ask for by annotation, obeyed once, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.api.conftest import Site
from tests.api.operator_model import QUICK, Model

pytestmark = pytest.mark.bare

Make = Callable[..., Model]

LONG = QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "10m"}]}
WITH_APPROVAL = QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "1s"}, {"approval": {}}]}


def test_abort_takes_the_traffic_back_and_is_recorded(model: Make) -> None:
    churn = model(rollout=LONG)
    candidate = churn.until_on_its_way()
    churn.annotate("abort", f"{candidate}/1")
    entry = churn.until_ended("Aborted")
    assert (entry["version"], entry["attempt"]) == ("2", 1)
    assert churn.share(churn.revision()) == 100
    assert [(a["name"], a["value"]) for a in churn.status["actions"]] == [("abort", f"{candidate}/1")]
    churn.until_says("UpToDate", "False", "Aborted", f"pointsman.dev/retry={candidate}/1")
    churn.until_event("Aborted", "version 2")


def test_abort_with_prometheus_down(site: Site, model: Make) -> None:
    churn = model(rollout=LONG)
    candidate = churn.until_on_its_way()
    with site.prometheus.down():
        churn.annotate("abort", f"{candidate}/1")
        churn.until_ended("Aborted")
        assert churn.share(churn.revision()) == 100


def test_an_annotation_that_names_another_attempt_does_nothing(model: Make) -> None:
    churn = model(rollout=LONG)
    candidate = churn.until_on_its_way()
    churn.annotate("abort", f"{candidate}/7")
    churn.annotate("promote", "yes")
    churn.annotate("pause", "true")  # proof that the annotations before it were seen
    churn.until_says("Paused", "True", "Annotation")
    assert churn.status["rollout"]["percent"] == 20
    assert not churn.status.get("actions")


def test_promote_leaves_out_the_remaining_steps(model: Make) -> None:
    churn = model(rollout=LONG)
    candidate = churn.until_on_its_way()
    churn.annotate("promote", f"{candidate}/1")
    assert churn.until_ended("Promoted")["reason"] == "PromotedByHand"
    churn.until_serves("2")


def test_approval_is_waited_for_and_given_once(model: Make) -> None:
    churn = model(rollout=WITH_APPROVAL)
    candidate = churn.until_on_its_way()
    line = f"kubectl annotate modeldeployment {churn.name} -n {churn.server.namespace} --overwrite"
    churn.until_says("UpToDate", "False", "AwaitingApproval", f"{line} pointsman.dev/approve={candidate}/1/2")
    assert churn.share(candidate) == 20
    churn.annotate("approve", f"{candidate}/1/2")
    assert churn.until_ended("Promoted")["version"] == "2"
    churn.until_event("AwaitingApproval", "step 2 of 2")
    churn.until_event("Approved", "step 2")


def test_pause_holds_the_step_and_the_deadline_until_it_is_taken_away(site: Site, model: Make) -> None:
    churn = model()
    churn.until_on_its_way()
    churn.annotate("pause", "true")
    churn.until_says("Paused", "True", "Annotation", "remove the annotation pointsman.dev/pause")
    stopped = churn.until(lambda s: s["rollout"].get("clockStoppedAt"))["rollout"]
    site.looks(3)  # more than the hold: without the pause the step would be over
    assert churn.status["rollout"]["step"] == stopped["step"]
    assert churn.status["rollout"]["clockStoppedAt"] == stopped["clockStoppedAt"]
    churn.annotate("pause", None)
    assert churn.until_ended("Promoted")["version"] == "2"


def test_abort_after_a_promotion_goes_back_to_the_version_that_is_kept(model: Make) -> None:
    churn = model(rollout=LONG | {"keepPrevious": "10m"})
    candidate = churn.until_on_its_way()
    before = churn.revision()
    churn.annotate("promote", f"{candidate}/1")
    churn.until_ended("Promoted")
    assert churn.status["previous"]["revision"] == before
    churn.annotate("abort", f"{candidate}/1")
    churn.until_ended("Aborted")
    churn.until(lambda s: s["stable"]["revision"] == before)
    assert churn.share(before) == 100
