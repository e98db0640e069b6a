"""What can be asked for at a moment, which annotation says it, and what is said where it makes no sense."""

from __future__ import annotations

import pytest

from pointsman.cli import asking
from pointsman.cli.asking import Verb
from pointsman.cli.faults import NotNowError
from pointsman.cli.model import Model, model
from tests.cli import rollouts as r

CANDIDATE = r.revision_name("churn", r.spec("7"))


@pytest.mark.parametrize(
    ("found", "verb", "key", "value"),
    [
        (r.canary(), "promote", "pointsman.dev/promote", f"{CANDIDATE}/1"),
        (r.canary(), "abort", "pointsman.dev/abort", f"{CANDIDATE}/1"),
        (r.canary(), "pause", "pointsman.dev/pause", "true"),
        (r.awaiting(), "approve", "pointsman.dev/approve", f"{CANDIDATE}/1/3"),
        (r.awaiting(), "resume", "pointsman.dev/pause", None),
        (r.rolled_back(), "retry", "pointsman.dev/retry", f"{CANDIDATE}/1"),
        (r.kept(), "abort", "pointsman.dev/abort", f"{CANDIDATE}/1"),
    ],
)
def test_the_annotation_that_says_it(found: Model, verb: Verb, key: str, value: str | None) -> None:
    asked = asking.request(verb, found)
    assert asked.patch() == {"metadata": {"annotations": {key: value}}}
    word = f"{key}-" if value is None else f"{key}={value}"
    assert asked.kubectl(found) == f"kubectl annotate modeldeployment churn -n ml --overwrite {word}"


@pytest.mark.parametrize(
    ("found", "verb", "said"),
    [
        (
            r.canary(),
            "approve",
            "churn: there is nothing to approve: version 7 is at step 2 of 4 (canary 5 %, held for 5m), which is no approval",
        ),
        (r.canary(), "retry", "churn: there is nothing to retry: version 7 is on its way"),
        (r.kept(), "promote", "churn: there is nothing to promote: no rollout runs, version 7 takes all traffic"),
        (r.kept(), "retry", "churn: there is nothing to retry: the spec names version 7, which serves"),
        (
            r.rolled_back(),
            "abort",
            "churn: there is nothing to abort: no rollout runs, and no previous version is kept",
        ),
        (
            r.refused(),
            "retry",
            (
                "churn: the spec is not accepted, so it cannot be tried: spec.runtime: no ModelRuntime is named 'mlserver';"
                " there are: triton"
            ),
        ),
        (r.unseen(), "promote", "churn: there is nothing to promote: no rollout runs"),
    ],
)
def test_what_makes_no_sense_now(found: Model, verb: Verb, said: str) -> None:
    with pytest.raises(NotNowError) as caught:
        asking.request(verb, found)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("phase", "verb", "said"),
    [
        ("RollingBack", "abort", "churn: it is being taken back already: errors: Harm"),
        (
            "RollingBack",
            "promote",
            "churn: there is nothing to promote: the candidate is being taken back: errors: Harm",
        ),
        ("Promoting", "promote", "churn: version 7 is being promoted already"),
    ],
)
def test_what_is_on_its_way_already(phase: str, verb: Verb, said: str) -> None:
    status = {"stable": r.arm("6", 4, 4), "candidate": r.arm("7", 1, 1)}
    found = model(r.deployment("7", **status, rollout=r.rollout(phase, 2, 0, "errors: Harm")))
    with pytest.raises(NotNowError) as caught:
        asking.request(verb, found)
    assert str(caught.value) == said


def test_an_approval_that_was_given() -> None:
    obj = r.deployment(
        "7",
        stable=r.arm("6", 4, 4),
        candidate=r.arm("7", 1, 1),
        rollout=r.rollout("AwaitingApproval", 3, 5, "approved; waiting for proof"),
        actions=[{"name": "approve", "value": f"{CANDIDATE}/1/3", "at": r.at("13:59:00")}],
    )
    with pytest.raises(NotNowError, match="churn: step 3 is approved already: approved; waiting for proof"):
        asking.request("approve", model(obj))


def test_nothing_is_answered_before_the_operator_has_acted() -> None:
    assert asking.answer(asking.request("abort", r.canary()), r.canary()) is None
    assert asking.answer(asking.request("pause", r.canary()), r.canary()) is None


def test_what_was_asked_too_late() -> None:
    asked = asking.request("promote", r.canary())
    with pytest.raises(
        NotNowError, match=r"churn: too late to promote: version 7 \(attempt 1\) was RolledBack at 2026-11-21"
    ):
        asking.answer(asked, r.rolled_back())


def test_an_abort_that_comes_just_after_the_promotion_is_waited_for() -> None:
    assert asking.answer(asking.request("abort", r.canary()), r.kept()) is None
