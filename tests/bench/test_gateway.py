"""The stand-in for a gateway: it answers the routes of its own Gateway, and each generation once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bench.lab import gateway

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def route(*, parent: str = gateway.NAME, generation: int = 2, answered: int | None = None) -> dict[str, Any]:
    backends = [{"name": "churn-1", "weight": 95}, {"name": "churn-2", "weight": 5}]
    found: dict[str, Any] = {
        "metadata": {"name": "churn", "generation": generation},
        "spec": {"parentRefs": [{"name": parent}], "rules": [{"backendRefs": backends}]},
    }
    if answered is not None:
        found |= gateway.accepted({**found, "metadata": {"name": "churn", "generation": answered}}, NOW)
    return found


def test_an_answer_accepts_the_generation_that_is_there() -> None:
    (parent,) = gateway.accepted(route(generation=7), NOW)["status"]["parents"]

    assert parent["parentRef"] == {"name": gateway.NAME}
    assert [(one["type"], one["status"], one["observedGeneration"]) for one in parent["conditions"]] == [
        ("Accepted", "True", 7),
        ("ResolvedRefs", "True", 7),
    ]


@pytest.mark.parametrize(
    ("seen", "unanswered"),
    [
        (route(), True),
        (route(answered=1), True),  # an older generation
        (route(answered=2), False),
        (route(parent="somebody-elses"), False),
    ],
)
def test_it_answers_what_is_new_on_its_own_gateway(seen: dict[str, Any], *, unanswered: bool) -> None:
    assert gateway.unanswered(seen) is unanswered


def test_weights_are_read_by_service() -> None:
    assert gateway.weights(route()) == {"churn-1": 95, "churn-2": 5}
