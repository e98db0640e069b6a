"""JSON from strangers."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.inspector.documents import MISSING, UnreadableError, at, canonical, parse
from tests.sizes import examples

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b'{"a": 1} {"a": 2}', "no JSON"),
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b'{"deep": {"a": 1, "a": 1}}', "a key stands twice"),
        (b"[" * 40_000 + b"]" * 40_000, "no JSON"),
        (b"[" + b"[]," * 50_000 + b"[]]", "too many values"),
        (b"[" + b"1," * 500_001 + b"1]", "too many values"),
        (b"1" * 5_000, "no JSON"),
    ],
    ids=[
        "nothing",
        "half",
        "bytes",
        "two",
        "twice",
        "twice below",
        "deep",
        "many lists",
        "many numbers",
        "long number",
    ],
)
def test_what_is_not_read(body: bytes, fault: str) -> None:
    with pytest.raises(UnreadableError, match=fault):
        parse(body)


def test_what_model_servers_write_that_is_no_json_by_the_book() -> None:
    nan, infinite = parse(b"[NaN, -Infinity]")
    assert math.isnan(nan)
    assert infinite == -math.inf


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("/a/b/1", 20),
        ("/a/b/-1", MISSING),
        ("/a/b/2", MISSING),
        ("/a/b/01", 20),
        ("/a/b/99999999999999999999", MISSING),
        ("/a/b/x", MISSING),
        ("/a/b/1/c", MISSING),
        ("/m~0n~1o", "escaped"),
        ("/null", None),
        ("/nothing", MISSING),
        ("/", "empty"),
    ],
)
def test_pointers(pointer: str, found: Any) -> None:
    document = {"a": {"b": [10, 20]}, "m~n/o": "escaped", "null": None, "": "empty"}
    assert at(document, pointer) is found or at(document, pointer) == found


@settings(max_examples=examples(50))
@given(st.binary(max_size=50) | st.text(alphabet='{}[]":,0123456789.eE-+\\utfn ', max_size=30).map(str.encode))
def test_any_bytes_are_read_or_unreadable(body: bytes) -> None:
    with contextlib.suppress(UnreadableError):
        parse(body)


@settings(max_examples=examples(50))
@given(JSON, st.text().map(lambda text: f"/{text}"))
def test_a_pointer_leads_somewhere_or_nowhere(document: Any, pointer: str) -> None:
    at(document, pointer)
    assert canonical(document) == canonical(document)
