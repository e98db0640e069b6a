"""A large answer, read in pieces, is what it is when read in one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.prometheus import body

LABEL = st.one_of(st.text(max_size=8), st.sampled_from(['},{"metric":', '"result":[{"metric":', "\\", '"', "}]"]))
ITEM = st.fixed_dictionaries(
    {"metric": st.dictionaries(LABEL, LABEL, max_size=3), "value": st.tuples(st.integers(), LABEL)}
)


def answer(items: list[Any], **more: Any) -> bytes:
    return json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": items}, **more}, separators=(",", ":")
    ).encode()


@given(items=st.lists(ITEM, max_size=12), piece=st.integers(0, 80), warnings=st.lists(LABEL, max_size=2))
def test_pieces_make_the_whole(items: list[Any], piece: int, warnings: list[str]) -> None:
    written = answer(items, warnings=warnings)
    assert body.read(written, piece) == json.loads(written)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}', id="a number"),
        pytest.param(json.dumps({"data": {"result": [{"metric": {}}] * 9}}, indent=1).encode(), id="with spaces"),
        pytest.param(b'{"result":[{"metric":{}},{"metric":{}},{"metric":{}}]}', id="the result elsewhere"),
        pytest.param(b'[{"result":[{"metric":{}},{"metric":{}},{"metric":{}}]}]', id="the result in a list"),
        pytest.param(b'{"data":{"result":[{"metric":{}},{"value":1},{"metric":{}}]}}', id="an item without labels"),
    ],
)
def test_other_json_is_read_as_it_is(written: bytes) -> None:
    assert body.read(written, 1) == json.loads(written)


@pytest.mark.parametrize("end", [-1, -3, -20, 90])
def test_half_an_answer_is_none(end: int) -> None:
    with pytest.raises(ValueError, match="at line"):
        body.read(answer([{"metric": {"a": "b"}, "value": [1, "2"]}] * 5)[:end], 10)
