from __future__ import annotations

from typing import Any

import pytest

from pointsman.cluster.cache import Change, name_of
from pointsman.controller.claims import Claims
from tests.cluster.objects import model


def gateway(name: str = "models", **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": "gateways", **more}


def claim(name: str, since: int, *hostnames: str, parents: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return model(name, since=since, traffic={"parentRefs": parents or [gateway()], "hostnames": list(hostnames)})


def claims(*objects: dict[str, Any]) -> Claims:
    known = Claims()
    for obj in objects:
        known.update(Change(before=None, after=obj))
    return known


# What the older one claims, what the newer one claims, and the hostname that the newer one cannot have.
PAIRS = [
    (["a.example.com"], ["a.example.com"], "a.example.com"),
    (["a.example.com"], ["b.example.com"], None),
    (["a.example.com", "b.example.com"], ["c.example.com", "b.example.com"], "b.example.com"),
    ([], ["a.example.com"], "a.example.com"),
    (["a.example.com"], [], "*"),
    ([], [], "*"),
    (["*.example.com"], ["a.example.com"], "a.example.com"),
    (["a.example.com"], ["*.example.com"], "*.example.com"),
    (["*.example.com"], ["example.com"], None),
    (["*.example.com"], ["aexample.com"], None),
]


@pytest.mark.parametrize(("older", "newer", "contested"), PAIRS)
def test_the_older_one_holds_what_both_claim(older: list[str], newer: list[str], contested: str | None) -> None:
    first, second = claim("old", 1, *older), claim("new", 2, *newer)
    known = claims(second, first)
    assert known.holder(name_of(first)) is None
    holder = known.holder(name_of(second))
    assert (holder and holder.hostname) == contested
    if holder is not None:
        assert (holder.gateway, holder.deployment) == ("gateways/models", "ml/old")


# The parentRefs of the older and of the newer one, and whether they can get in each other's way.
PARENTS = [
    ([gateway()], [gateway("other")], False),
    ([gateway()], [gateway("other"), gateway()], True),
    ([gateway(sectionName="http")], [gateway(sectionName="https")], False),
    ([gateway(sectionName="http")], [gateway()], True),
    ([gateway(port=80)], [gateway(port=8080)], False),
    ([gateway(kind="Service")], [gateway(kind="Service")], False),
    ([{"name": "models"}], [{"name": "models", "namespace": "ml"}], True),
]


@pytest.mark.parametrize(("older", "newer", "contested"), PARENTS)
def test_only_listeners_in_common_are_contested(older: list[Any], newer: list[Any], *, contested: bool) -> None:
    first, second = claim("old", 1, "a", parents=older), claim("new", 2, "a", parents=newer)
    assert (claims(first, second).holder(name_of(second)) is not None) is contested


def test_of_the_same_age_the_name_decides() -> None:
    first, second = claim("a", 1, "x"), claim("b", 1, "x")
    known = claims(first, second)
    assert known.holder(name_of(first)) is None
    assert known.holder(name_of(second)) is not None


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(None, id="deleted"),
        pytest.param(claim("old", 1, "b"), id="another hostname"),
        pytest.param(claim("old", 1, "a", parents=[gateway("other")]), id="another Gateway"),
        pytest.param(model("old", since=1), id="no Gateway any more"),
    ],
)
def test_who_waits_is_told_when_a_claim_ends(after: dict[str, Any] | None) -> None:
    first, second = claim("old", 1, "a"), claim("new", 2, "a")
    known = claims(first, second)
    assert known.update(Change(before=first, after=after)) == {("ml", "new")}
    assert known.holder(name_of(second)) is None


def test_a_change_of_anything_else_wakes_nobody() -> None:
    first, second = claim("old", 1, "a"), claim("new", 2, "a")
    known = claims(first, second)
    changed = {**first, "spec": {**first["spec"], "model": {"version": "2"}}}
    assert known.update(Change(before=first, after=changed)) == set()
