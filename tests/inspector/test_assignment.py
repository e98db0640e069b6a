"""What an inspector is told, and the sentence for what it cannot use."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.evidence.bins import Bins
from pointsman.evidence.profile import Profile
from pointsman.inspector.assignment import (
    Assignment,
    AssignmentError,
    Label,
    Numeric,
    Scale,
    Scales,
    read,
    with_reference,
)
from pointsman.reference.file import Reference
from tests.sizes import examples

STABLE = {"revision": "churn-5f3a9c1b", "url": "http://churn-5f3a9c1b.ml:80"}
CANDIDATE = {"revision": "churn-81d0aa37", "url": "http://churn-81d0aa37.ml:80"}
LEAST = {"namespace": "ml", "deployment": "churn", "attempt": 1, "stable": STABLE, "protocol": "OpenInference"}
DOCUMENT = Path(__file__).parents[2] / "docs" / "inspector.md"


def told(**fields: Any) -> Assignment:
    return read(json.dumps(LEAST | fields))


def test_the_least_that_it_has_to_know() -> None:
    assert told().candidate is None
    assert told().limits.concurrency == 64


def test_the_documented_example_can_be_used() -> None:
    example = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    assert read(example.group(1)).comparators == (Label(output="predict"),)


def test_tolerances_may_be_written_as_in_the_api() -> None:
    assert told(comparators=[{"kind": "Numeric", "output": "score", "absolute": "0.01"}]).comparators == (
        Numeric(output="score", absolute=0.01),
    )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"stabel": STABLE}, ".stabel: there is no such field; leave it out"),
        ({"limits": {"memory": 1}}, ".limits.memory: there is no such field; leave it out"),
        ({"candidate": {"revision": "churn-81d0aa37"}}, ".candidate.url: is missing; write it"),
        ({"candidate": STABLE}, ": `candidate` has to be another revision than `stable`; leave it out to watch stable only"),
        (
            {"stable": STABLE | {"url": "churn:80"}},
            ".stable.url: write where the version answers, such as http://churn-81d0aa37.ml:8080, not 'churn:80'",
        ),
        ({"features": ["age"]}, ".features[0]: write a JSON pointer, such as /inputs/0/data/3, not 'age'"),
        ({"slices": {}}, ".slices: write either `header` or `path`"),
        ({"slices": {"header": "x-tenant", "path": "/tenant"}}, ".slices: write either `header` or `path`"),
        ({"scales": {"predictions": {"p": {"edges": [1, 1]}}}}, ".edges: write finite numbers, each larger than the one before"),
        ({"scales": {"predictions": {"p": {}}}}, ".p: write either `edges` or `categories`"),
        ({"protocol": "gRPC"}, ".protocol: Input should be 'OpenInference', 'KServeV1', 'OpenAI' or 'Json'"),
        ({"comparators": [{"kind": "Same", "output": "p"}]}, "does not match any of the expected tags"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_in_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AssignmentError) as refused:
        told(**fields)
    assert str(refused.value).startswith("POINTSMAN_INSPECTOR")
    assert sentence in str(refused.value)


def test_a_reference_file_has_the_scales() -> None:
    bins = Profile(Bins("/age", edges=(18.0, 65.0)), np.array([[1, 2, 3]]))
    kinds = Profile(Bins("kind", categories=("cat", "dog")), np.array([[1, 2, 3]]))
    text = Reference.of([bins], [kinds]).dump().encode()
    assert with_reference(told(reference="reference.json"), text).scales == Scales(
        features={"/age": Scale(edges=(18.0, 65.0))}, predictions={"kind": Scale(categories=("cat", "dog"))}
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "reference.json: it is no reference; `pointsman reference build` writes one"),
        ("[]", "reference.json: it is no reference; `pointsman reference build` writes one"),
        ('{"features": {"/age": 7}}', "reference.json: it is no reference; `pointsman reference build` writes one"),
        (
            '{"features": {"age": {"edges": [1]}}}',
            "reference.json.features.age: write a JSON pointer, such as /inputs/0/data/3, not 'age'",
        ),
        ('{"features": {"/age": {}}}', "reference.json.features./age: write either `edges` or `categories`"),
    ],
)
def test_a_reference_file_that_cannot_be_used(text: str, sentence: str) -> None:
    with pytest.raises(AssignmentError) as refused:
        with_reference(told(reference="reference.json"), text.encode())
    assert str(refused.value) == sentence


@settings(max_examples=examples(20))
@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_whatever_it_is_told_is_used_or_refused(document: Any) -> None:
    text = document if isinstance(document, str) else json.dumps(LEAST | {"slices": document, "limits": document})
    with contextlib.suppress(AssignmentError):
        read(text)
