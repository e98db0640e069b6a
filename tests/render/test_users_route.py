"""A route of the user's: which of it is ours, what is written there, and that everything else stays."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.render.objects import Backend, Mirror
from pointsman.render.users_route import Place, copies, fault, shares, with_shares

STABLE, CANDIDATE = "churn-5f3a9c1b", "churn-81d0aa37"
PLACE = Place(deployment="churn", behind=STABLE)
INSPECTOR = "churn-i81d0aa3"
HEADERS = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-team", "value": "ml"}]}}


def ref(name: str, weight: int | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "port": 80, **({} if weight is None else {"weight": weight}), **more}


def rule(*refs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"matches": [{"path": {"type": "PathPrefix", "value": "/v2"}}], **more, "backendRefs": list(refs)}


def split(share: int) -> list[Backend]:
    """The candidate has `share` basis points; -1: there is none."""
    return [Backend(STABLE, 10_000 - share), Backend(CANDIDATE, share)] if share >= 0 else [Backend(STABLE, 10_000)]


# What is written there, the candidate's share in basis points, and what comes of it.
WRITTEN = {
    "as in Git, and nothing to switch": ([ref("churn")], -1, [ref("churn")]),
    "the first share": ([ref("churn")], 1, [ref("churn", 9999), ref(CANDIDATE, 1)]),
    "percentages, where they are whole": ([ref("churn")], 500, [ref("churn", 95), ref(CANDIDATE, 5)]),
    "all of it": ([ref("churn", 50), ref(CANDIDATE, 50)], 10_000, [ref("churn", 0), ref(CANDIDATE, 100)]),
    "back again": ([ref("churn", 0), ref(CANDIDATE, 1)], 0, [ref("churn", 100), ref(CANDIDATE, 0)]),
    "stable at its own Service stays there": (
        [ref("churn", 0), ref(STABLE, 100)],
        500,
        [ref("churn", 0), ref(STABLE, 95), ref(CANDIDATE, 5)],
    ),
    "another backend keeps its tenth": (
        [ref("churn", 90), ref("legacy", 10)],
        500,
        [ref("churn", 171), ref(CANDIDATE, 9), ref("legacy", 20)],
    ),
    "another backend that gets nothing": (
        [ref("legacy", 0), ref("churn")],
        2500,
        [ref("legacy", 0), ref("churn", 75), ref(CANDIDATE, 25)],
    ),
    "filters of the backend": (
        [ref("churn", filters=[HEADERS])],
        500,
        [ref("churn", 95, filters=[HEADERS]), ref(CANDIDATE, 5, filters=[HEADERS])],
    ),
    "a version that is on its way out": (
        [ref("churn", 0), ref("churn-00000000", 0), ref(STABLE, 100)],
        500,
        [ref("churn", 0), ref(STABLE, 95), ref(CANDIDATE, 5)],
    ),
    "written twice": ([ref("churn"), ref("churn")], 500, [ref("churn", 95), ref(CANDIDATE, 5)]),
}


@pytest.mark.parametrize(("refs", "share", "written"), WRITTEN.values(), ids=WRITTEN.keys())
def test_shares_are_written_and_read_again(
    refs: list[dict[str, Any]], share: int, written: list[dict[str, Any]]
) -> None:
    (found,) = with_shares([rule(*refs)], PLACE, backends=split(share))
    assert found == rule(*written)
    said = shares([found], PLACE)
    assert (said.get(STABLE, 0), said.get(CANDIDATE, 0)) == (10_000 - max(share, 0), max(share, 0))
    assert with_shares([found], PLACE, backends=split(share)) == [found]


THEIRS = {
    "another model's": rule(ref("fraud"), ref("fraud-12345678")),
    "a name that only begins alike": rule(ref("churn-v2"), ref("churn-explainer")),
    "another kind": rule(ref("churn", kind="ServiceImport", group="multicluster.x-k8s.io")),
    "without backends": {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]},
    "a model that gets nothing there": rule(ref("churn", 0), ref("legacy", 1)),
    "a revision without the model's own name": rule(ref(STABLE)),
}


@pytest.mark.parametrize("theirs", THEIRS.values(), ids=THEIRS.keys())
def test_other_rules_are_not_touched(theirs: dict[str, Any]) -> None:
    ours = rule(ref("churn"), filters=[HEADERS], timeouts={"request": "3s"}, name="predict")
    before, after = with_shares([theirs, ours], PLACE, backends=split(500), mirror=Mirror(INSPECTOR, 2000))
    assert before == theirs
    assert (after["timeouts"], after["name"], after["filters"][0]) == ({"request": "3s"}, "predict", HEADERS)


def test_a_mirror_comes_and_goes_beside_the_filters_of_the_user() -> None:
    theirs = {"type": "RequestMirror", "requestMirror": {"backendRef": ref("recorder")}}
    plain = rule(ref("churn"), filters=[HEADERS, theirs])
    (mirrored,) = with_shares([plain], PLACE, backends=split(-1), mirror=Mirror(INSPECTOR, 2000))
    assert mirrored["filters"][:2] == [HEADERS, theirs]
    assert mirrored["filters"][2]["requestMirror"]["percent"] == 20
    assert mirrored["backendRefs"] == plain["backendRefs"]
    assert copies([plain], PLACE) is None
    assert copies([mirrored], PLACE) == mirrored["filters"][2]
    assert with_shares([mirrored], PLACE, backends=split(-1)) == [plain]
    (alone,) = with_shares([rule(ref("churn"))], PLACE, backends=split(-1), mirror=Mirror(INSPECTOR, 2000))
    assert "filters" not in with_shares([alone], PLACE, backends=split(-1))[0]


def test_rules_that_disagree_are_between_what_they_say() -> None:
    one, other = rule(ref("churn", 75), ref(CANDIDATE, 25)), rule(ref("churn"))
    said = shares([one, other], PLACE)
    assert said == {STABLE: 17_500, CANDIDATE: 2_500}
    again = with_shares([one, other], PLACE, backends=split(2500))
    assert [r["backendRefs"] for r in again] == [one["backendRefs"]] * 2


def test_before_its_service_follows_a_promotion_the_name_is_not_the_new_version() -> None:
    (found,) = with_shares([rule(ref("churn"))], PLACE, backends=[Backend(CANDIDATE, 10_000)])
    assert found["backendRefs"] == [ref("churn", 0), ref(CANDIDATE, 100)]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([], "no rule of it sends requests to the Service churn: write `backendRefs: [{name: churn, port: 80}]`"),
        ([rule(ref(STABLE))], "no rule of it sends requests to the Service churn"),
        ([rule(ref("churn", 995), ref("legacy", 5))], "rules[0]: write weights whose ratio needs no number above 100"),
        ([rule(ref("churn", 99), ref("legacy", 1))], None),
    ],
)
def test_what_cannot_be_switched_is_said(rules: list[dict[str, Any]], said: str | None) -> None:
    found = fault(rules, PLACE)
    assert found is None if said is None else found is not None and said in found


def test_no_weight_is_above_a_million() -> None:
    (found,) = with_shares([rule(ref("churn", 100), ref("legacy", 99))], PLACE, backends=split(1))
    assert max(one["weight"] for one in found["backendRefs"]) <= 1_000_000
