"""What is read of a live route: where copies of its requests go, and how many."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.api.modeldeployment import Traffic
from pointsman.render import objects
from pointsman.rollout.arms import route_switch

TRAFFIC = Traffic.model_validate({"parentRefs": [{"name": "models"}]})


def route(mirror: objects.Mirror | None = None) -> dict[str, Any]:
    return objects.route(
        deployment="churn",
        namespace="ml",
        traffic=TRAFFIC,
        backends=[objects.Backend("churn-5f3a9c1b", 10_000)],
        mirror=mirror,
        owner=objects.Owner("ModelDeployment", "churn", "1"),
    )


@pytest.mark.parametrize("share", [1, 50, 99, 100, 2_000, 3_333, 9_999, 10_000])
def test_what_is_written_is_read(share: int) -> None:
    switch = route_switch(route(objects.Mirror("churn-i81d0aa3", share)), TRAFFIC)
    assert (switch.inspector, switch.mirrored) == ("churn-i81d0aa3", share)
    assert switch.weights == {"churn-5f3a9c1b": 100}


@pytest.mark.parametrize(
    ("how", "share"),
    [
        ({}, 10_000),
        ({"percent": 0}, 0),
        ({"percent": 7}, 700),
        ({"fraction": {"numerator": 3}}, 300),
        ({"fraction": {"numerator": 1, "denominator": 3}}, 3_333),
    ],
)
def test_what_hands_write_is_read_as_the_gateway_api_means_it(how: dict[str, Any], share: int) -> None:
    edited = route()
    edited["spec"]["rules"][0]["filters"] = [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}},
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "theirs", "port": 80}, **how}},
    ]
    switch = route_switch(edited, TRAFFIC)
    assert (switch.inspector, switch.mirrored) == ("theirs", share)


@pytest.mark.parametrize("filters", [None, [], [{"type": "RequestHeaderModifier", "requestHeaderModifier": {}}]])
def test_without_a_mirror_nothing_is_mirrored(filters: list[Any] | None) -> None:
    edited = route()
    assert "filters" not in edited["spec"]["rules"][0]
    edited["spec"]["rules"][0]["filters"] = filters
    switch = route_switch(edited, TRAFFIC)
    assert (switch.inspector, switch.mirrored) == (None, 0)
