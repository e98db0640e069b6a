"""The parts of the traffic that are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from multidict import CIMultiDict

from pointsman.inspector.assignment import Slices
from pointsman.inspector.documents import MISSING
from pointsman.inspector.slices import Names, value


@pytest.mark.parametrize(
    ("slices", "headers", "document", "found"),
    [
        (Slices(header="x-tenant"), {"X-Tenant": "acme"}, {}, "acme"),
        (Slices(header="x-tenant"), {}, {}, "none"),
        (Slices(header="x-tenant"), {"X-Tenant": ""}, {}, "none"),
        (Slices(path="/user/plan"), {}, {"user": {"plan": "free"}}, "free"),
        (Slices(path="/user/plan"), {}, {"user": {"plan": True}}, "true"),
        (Slices(path="/user/plan"), {}, {"user": {"plan": 3}}, "3"),
        (Slices(path="/user/plan"), {}, {"user": {"plan": None}}, "none"),
        (Slices(path="/user/plan"), {}, {"user": {"plan": ["free"]}}, "none"),
        (Slices(path="/user/plan"), {}, [], "none"),
        (Slices(path="/user/plan"), {}, MISSING, "none"),
    ],
)
def test_what_slice_a_request_is_of(slices: Slices, headers: Mapping[str, str], document: Any, found: str) -> None:
    assert value(slices, CIMultiDict(headers), document) == found


def test_the_first_values_have_names_and_ten_thousand_more_are_other() -> None:
    names = Names(3)
    assert [names.name(one) for one in ("a", "b", "a", "c", "d", "b")] == ["a", "b", "a", "c", "other", "b"]
    assert {names.name(str(number)) for number in range(10_000)} == {"other"}


@pytest.mark.parametrize("odd", ["x" * 129, "\ud800", "a\nb", "\x00"])
def test_what_cannot_be_a_label_is_other(odd: str) -> None:
    assert Names(3).name(odd) == "other"
