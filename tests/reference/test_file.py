"""The reference file: what it holds, that it comes back as it was, and what is said of one that is none."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from pointsman.evidence import drift
from pointsman.evidence.profile import HOURS
from pointsman.reference import file
from pointsman.reference.file import Distribution, Reference, ReferenceFileError

AGE = Distribution(edges=(20.0, 40.5), counts=(5, 3, 2), missing=1)
LAND = Distribution(categories=("de", "é\n"), hours=((1, 2, 3),) * HOURS)
BOTH = Reference(features={"age": AGE, "/inputs/0/data/3": LAND}, predictions={"score": AGE})


def test_what_was_written_is_read() -> None:
    assert file.load(BOTH.dump()) == BOTH
    assert file.load(BOTH.dump().encode()) == BOTH


def test_a_distribution_takes_a_line() -> None:
    assert Reference(features={"age": AGE}).dump().splitlines() == [
        "{",
        '"format": "pointsman.dev/reference/v1",',
        '"features": {',
        '  "age": {"edges": [20.0, 40.5], "counts": [5, 3, 2], "missing": 1}',
        "},",
        '"predictions": {}',
        "}",
    ]


def test_the_detector_takes_its_profiles_and_gives_them_back() -> None:
    features, predictions = BOTH.profiles()
    assert [one.counts.shape for one in features] == [(1, 3), (HOURS, 3)]
    assert len(drift.watching(features, predictions, tolerance=0.03, looks=1000).norms) == 3
    assert Reference.of(features, predictions).profiles()[0][0].counts.tolist() == [[5, 3, 2]]
    assert np.array(LAND.total).tolist() == [HOURS, 2 * HOURS, 3 * HOURS]


def test_a_configmap_holds_the_file() -> None:
    manifest = yaml.safe_load(file.configmap(BOTH, "churn-7"))
    assert (manifest["kind"], manifest["metadata"]) == ("ConfigMap", {"name": "churn-7"})
    assert file.load(manifest["data"]["reference.json"]) == BOTH


def test_what_a_configmap_does_not_hold_is_said() -> None:
    wide = Distribution(edges=tuple(float(e) for e in range(60)), hours=((10**6,) * 61,) * HOURS)
    with pytest.raises(ReferenceFileError, match="a ConfigMap holds 1,000,000"):
        file.configmap(Reference(features={f"x{i}": wide for i in range(15)}), "churn")


def one(**values: object) -> str:
    return json.dumps({"format": file.FORMAT, "features": {"age": values}})


WRONG = [
    ("{", "it is not JSON"),
    ("[" * 100_000, "it is not JSON"),
    ("[]", "its `format` must be"),
    ('{"format": "v2"}', "its `format` must be"),
    (json.dumps({"format": file.FORMAT}), "neither `features` nor `predictions`"),
    (json.dumps({"format": file.FORMAT, "features": {}, "feature": {}}), "feature: Extra inputs"),
    (one(edges=[1, 2], counts=[1, 2]), r"features.age: there are 3 bins, and 2 counts"),
    (one(edges=[2, 1], counts=[1, 2, 3]), r"features.age: it: edges must rise"),
    (one(edges=[1], categories=["a"], counts=[1, 2]), "one of the two"),
    (one(edges=[1], counts=[1, -2]), r"features.age.counts\[1\]: Input should be greater"),
    (one(edges=[1], counts=[1, 2.5]), r"features.age.counts\[1\]: Input should be a valid integer"),
    (one(edges=[1], counts=[1, "2"]), r"features.age.counts\[1\]: Input should be a valid integer"),
    (one(edges=[1]), "write `counts`, or `hours`"),
    (one(edges=[1], counts=[1, 2], hours=[[1, 2]] * HOURS), "one of the two"),
    (one(edges=[1], hours=[[1, 2]] * 24), "features.age.hours: Tuple should have at least 168"),
    (one(categories=["other"], counts=[1, 2]), "leave it out of `categories`"),
    ('{"format": "pointsman.dev/reference/v1", "features": {"age": {"edges": [NaN], "counts": [1, 2]}}}', "age.edges"),
    (" " * 2_000_000, "fewer bins would do"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_no_reference_is_said(text: str, said: str) -> None:
    with pytest.raises(ReferenceFileError, match=said):
        file.load(text)
