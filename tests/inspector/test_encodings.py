"""Compressed bodies."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.inspector.documents import UnreadableError
from pointsman.inspector.encodings import decoded
from tests.sizes import examples

TEXT = b'{"outputs": []}'
RAW = zlib.compressobj(wbits=-15)
RAW_DEFLATE = RAW.compress(TEXT) + RAW.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (gzip.compress(TEXT), "gzip"),
        (gzip.compress(TEXT[:5]) + gzip.compress(TEXT[5:]), " GZip "),
        (zlib.compress(TEXT), "deflate"),
        (RAW_DEFLATE, "deflate"),
    ],
    ids=["none", "identity", "gzip", "gzip in two members", "deflate by the book", "deflate in practice"],
)
def test_what_is_read(body: bytes, encoding: str) -> None:
    assert decoded(body, encoding, len(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("body", "encoding", "fault"),
    [
        (gzip.compress(TEXT), "deflate", "broken"),
        (TEXT, "gzip", "broken"),
        (gzip.compress(TEXT)[:-1], "gzip", "ends early"),
        (zlib.compress(TEXT) + b"more", "deflate", "something follows"),
        (gzip.compress(b"") * 100, "gzip", "too many members"),
        (TEXT, "br", "neither gzip nor deflate"),
        (gzip.compress(gzip.compress(TEXT)), "gzip, gzip", "neither gzip nor deflate"),
        (gzip.compress(TEXT + b" "), "gzip", "larger than allowed"),
    ],
)
def test_what_is_not(body: bytes, encoding: str, fault: str) -> None:
    with pytest.raises(UnreadableError, match=fault):
        decoded(body, encoding, len(TEXT))


def test_a_bomb_takes_no_more_than_is_allowed() -> None:
    bomb = gzip.compress(bytes(50 * 2**20))
    tracemalloc.start()
    with pytest.raises(UnreadableError, match="larger than allowed"):
        decoded(bomb, "gzip", 2**20)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * 2**20


@settings(max_examples=examples(50))
@given(st.binary(max_size=40) | st.binary(max_size=40).map(gzip.compress), st.sampled_from(["gzip", "deflate", "br"]))
def test_any_bytes_are_read_or_unreadable(body: bytes, encoding: str) -> None:
    with contextlib.suppress(UnreadableError):
        assert len(decoded(body, encoding, 30)) <= 30
