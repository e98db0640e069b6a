"""docs/api.md is what the types say, and says of every field that people write what it means and what it may look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.docs import reference

if TYPE_CHECKING:
    from tests.conftest import Admission


def test_the_page_is_what_the_types_say() -> None:
    assert reference.DOCUMENT.read_text(encoding="utf-8") == reference.page(), "run: make generate"


def test_every_field_has_a_meaning() -> None:
    assert not reference.undescribed(), "give it a description in operator/pointsman/api"


def test_every_field_has_an_example() -> None:
    assert not reference.without_example(), "show it in tests/docs/everything.yaml"


@pytest.mark.bare
@pytest.mark.parametrize(
    "obj",
    list(yaml.safe_load_all(reference.EVERYTHING.read_text(encoding="utf-8"))),
    ids=lambda obj: obj["metadata"]["name"],
)
def test_the_api_server_takes_the_examples(admission: Admission, obj: dict[str, Any]) -> None:
    assert admission.complaints(obj) == []


def test_defaults_are_those_of_the_decision() -> None:
    found = reference.defaults()
    assert (found["spec.deadline"], found["spec.warmup.requests"], found["spec.capacity.maxSurge"]) == ("2h", 50, "25%")
