"""Whatever a table or a reference holds: it is used, or a sentence says why not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman.cli import referencing
from pointsman.cli.faults import InputError
from pointsman.cli.referencing import Request
from pointsman.reference import file
from pointsman.reference.file import ReferenceFileError
from tests.sizes import examples

if TYPE_CHECKING:
    from pathlib import Path

CELLS = st.sampled_from(
    ["", "1", "-2.5", "1e308", "inf", "nan", "de", '"a,b"', '"', "0", "\x00", "ü", "1_0", " 7 ", "true"]
)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=3).map(",".join), max_size=8).map("\n".join)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=TABLES | st.text(max_size=60), junk=st.binary(max_size=3))
def test_any_table(tmp_path: Path, rows: str, junk: bytes) -> None:
    table, to = tmp_path / "t.csv", tmp_path / "reference.json"
    table.write_bytes(b"a,b\n" + rows.encode("utf-8", "surrogatepass") + junk)
    request = Request(data=str(table), features="", predictions="b", time=None, bins=5, output=str(to), configmap=None)
    try:
        referencing.build(request)
    except InputError as error:
        assert str(error).startswith(str(table))  # noqa: PT017  the sentence says where
        return
    found = file.load(to.read_bytes())
    for one in (*found.features.values(), *found.predictions.values()):
        assert sum(one.total) + one.missing == sum(found.features["a"].total) + found.features["a"].missing


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["edges", "categories", "counts", "hours", "missing", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=examples(100), deadline=None)
@given(features=JSON, predictions=JSON)
def test_any_reference(features: object, predictions: object) -> None:
    text = json.dumps({"format": file.FORMAT, "features": features, "predictions": predictions})
    try:
        found = file.load(text)
    except ReferenceFileError:
        return
    assert file.load(found.dump()) == found


@given(text=st.binary(max_size=40) | st.text(max_size=40))
@settings(max_examples=examples(50), deadline=None)
def test_what_is_no_json_is_no_reference(text: bytes | str) -> None:
    with pytest.raises(ReferenceFileError):
        file.load(text)
