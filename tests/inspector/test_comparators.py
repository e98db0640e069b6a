"""When two answers are the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pointsman.inspector.assignment import Comparator, Protocol
from pointsman.inspector.comparators import agree, readable
from pointsman.inspector.documents import UnreadableError
from pointsman.inspector.outputs import Answer
from pointsman.inspector.protocols import answer, plain
from tests.inspector.test_documents import JSON
from tests.sizes import examples

NAN = float("nan")


def said(document: Any, protocol: Protocol = "Json") -> Answer:
    return answer(protocol, json.dumps(document).encode(), "application/json")


def comparator(**fields: Any) -> Comparator:
    read: Comparator = TypeAdapter(Comparator).validate_python({"output": "/v"} | fields)
    return read


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a", "a", True),
        ("a", "A", False),
        (1, 1, True),
        (1_000_000, 1_000_001, False),
        (1_000_000.0, 1_000_000.5, True),
        (1_000_000.0, 1_000_002.0, False),
        (1, 1.0000001, True),
        (1, 1.0, True),
        (1, True, False),
        (True, True, True),
        (None, None, True),
        (None, 0, False),
        (NAN, NAN, True),
        (NAN, 1.0, False),
        (float("inf"), float("inf"), True),
        (float("inf"), 1e308, False),
        (10**400, 1.0, False),
        ("1", 1, False),
        ([1, 2], [2, 1], False),
        ([1, 2], [1, 2, 3], False),
        ([[1, 2]], [[1], [2]], False),
        ([], [], True),
    ],
)
def test_without_a_comparator_floats_may_round_and_nothing_else(one: Any, other: Any, same: bool) -> None:  # noqa: FBT001
    assert agree((), said({"v": one}), said({"v": other})) is same
    assert agree((), said({"v": other}), said({"v": one})) is same


def test_without_a_comparator_all_outputs_have_to_be_there() -> None:
    assert not agree((), said({"v": 1}), said({"v": 1, "w": 2}))
    assert not agree((), said({"v": 1, "w": 2}), said({"v": 1}))


LABEL = {"kind": "Label"}
NUMERIC = {"kind": "Numeric"}
VECTOR = {"kind": "Vector", "at_most": 0.1}
TOP = {"kind": "TopK", "k": 2, "at_least": 50}
TEXT = {"kind": "Text"}


@pytest.mark.parametrize(
    ("fields", "one", "other", "same"),
    [
        (LABEL, [3, "cat", True], [3, "cat", True], True),
        (LABEL, [1], [True], False),
        (LABEL, [0.1], [0.1000000001], False),
        (NUMERIC, 0.5, 0.5000001, True),
        (NUMERIC, 0.5, 0.51, False),
        (NUMERIC | {"absolute": 0.02}, 0.5, 0.51, True),
        (NUMERIC | {"relative": 0.1}, 100, 109, True),
        (NUMERIC | {"relative": 0.1}, 100, 112, False),
        (NUMERIC, 0.0, 1e-12, False),
        (NUMERIC | {"relative": 3}, 1, -1, True),
        (NUMERIC, NAN, NAN, True),
        (NUMERIC, [1, 2], [1], False),
        (NUMERIC, 1, "1", False),
        (NUMERIC, 1, True, False),
        (VECTOR, [[0, 0], [1, 1]], [[0, 0.1], [1, 1]], True),
        (VECTOR, [[0, 0], [1, 1]], [[0, 0], [1, 1.2]], False),
        (VECTOR, [0, 0], [[0], [0]], False),
        (VECTOR, [float("inf")], [float("inf")], False),
        (VECTOR | {"distance": "Cosine"}, [1, 1], [7, 7], True),
        (VECTOR | {"distance": "Cosine"}, [1, 1], [1, -1], False),
        (VECTOR | {"distance": "Cosine"}, [0, 0], [0, 0], True),
        (VECTOR | {"distance": "Cosine"}, [0, 0], [0, 1], False),
        (VECTOR | {"distance": "Cosine"}, [1e300, -1e300], [1e300, 1e300], False),
        (TOP, ["a", "b", "c"], ["b", "x", "a"], True),
        (TOP, ["a", "b"], ["c", "d"], False),
        (TOP, [[0.9, 0.8, 0.1]], [[0.1, 0.9, 0.8]], True),
        (TOP | {"at_least": "100"}, [0.9, 0.8, 0.1], [0.6, 0.7, 0.1], True),
        (TOP | {"at_least": "100"}, [0.9, 0.8, 0], [0.6, 0, 0.7], False),
        (TOP, ["a", "b"], [["a"], ["b"]], False),
        (TOP, ["a", "b"], [], False),
        (TEXT, "Yes.", "Yes.", True),
        (TEXT, "Yes.", "yes", False),
        (TEXT | {"form": "Normalised"}, "\u201cYes\u201d,  it\u00a0is.\n", "yes it is", True),
        (TEXT | {"form": "Normalised"}, "yes", "no", False),
        (TEXT, "1", 1, False),
    ],
)  # fmt: skip
def test_comparators(fields: dict[str, Any], one: Any, other: Any, same: bool) -> None:  # noqa: FBT001
    assert agree((comparator(**fields),), said({"v": one}), said({"v": other})) is same


@pytest.mark.parametrize(
    ("fields", "value", "found"),
    [
        (LABEL, 1, True),
        (LABEL | {"output": "/w"}, 1, False),
        (LABEL | {"output": "/v/0"}, [7], True),
        (LABEL | {"output": "/v/1"}, [7], False),
        (NUMERIC, "1", False),
        (NUMERIC, [1, None], False),
        (NUMERIC, [], False),
        (VECTOR, [True], False),
        (TEXT, 1, False),
        (TOP, [], False),
    ],
)
def test_an_answer_without_what_is_compared_is_not_readable(fields: dict[str, Any], value: Any, found: bool) -> None:  # noqa: FBT001
    assert readable((comparator(**fields),), said({"v": value})) is found


def test_all_comparators_have_to_agree() -> None:
    both = (comparator(output="/a", **LABEL), comparator(output="/b", **NUMERIC))
    assert agree(both, said({"a": "x", "b": 1.0, "c": 1}), said({"a": "x", "b": 1.0, "c": 2}))
    assert not agree(both, said({"a": "x", "b": 1.0}), said({"a": "x", "b": 2.0}))


def test_bytes_are_any_bytes() -> None:
    same = (TypeAdapter(Comparator).validate_python({"kind": "Bytes"}),)
    assert agree(same, plain(b"\xff\x00"), plain(b"\xff\x00"))
    assert not agree(same, plain(b"\xff\x00"), plain(b"\xff\x01"))


ANY = st.one_of(
    st.sampled_from([LABEL, NUMERIC, VECTOR, VECTOR | {"distance": "Cosine"}, TOP, TEXT, TEXT | {"form": "Normalised"}])
)


@settings(max_examples=examples(60))
@given(ANY, JSON, JSON)
def test_any_two_answers_compare_and_an_answer_is_the_same_as_itself(
    fields: dict[str, Any], one: Any, other: Any
) -> None:
    compared = (comparator(**fields),)
    try:
        first, second = said({"v": one}), said({"v": other})
        assert agree(compared, first, second) == agree(compared, second, first)
        assert agree((), first, second) == agree((), second, first)
        assert agree((), first, said({"v": one}))
    except UnreadableError:
        return
