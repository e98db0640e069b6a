"""Content encodings: what a compressed body says, as long as it stays within a bound."""

from __future__ import annotations

import zlib
from typing import Final

from pointsman.inspector.documents import UnreadableError

_GZIP: Final = 16 + zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
_MOST_MEMBERS: Final = 64  # of one gzip body


def decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its Content-Encoding; gzip and deflate are read, others cannot be.

    Args:
        body: as it came.
        encoding: the header's value, "" for none.
        limit: the most bytes that may come out.

    Raises:
        UnreadableError: another encoding, several at once, broken data, or more than `limit` bytes.
    """
    coding = encoding.strip().lower()
    match coding:
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _inflated(body, _GZIP, limit)
        case "deflate":  # zlib's format by the book, raw deflate in practice
            wrapped = len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and (body[0] * 256 + body[1]) % 31 == 0
            return _inflated(body, zlib.MAX_WBITS if wrapped else _RAW, limit)
        case _:
            raise UnreadableError("its Content-Encoding is neither gzip nor deflate")


def _inflated(body: bytes, window: int, limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit
    while body:  # gzip: one member after the other
        if len(parts) == _MOST_MEMBERS:
            raise UnreadableError("its compressed data has too many members")
        stream = zlib.decompressobj(window)
        try:
            part = stream.decompress(body, room + 1)
        except zlib.error as error:
            raise UnreadableError("its compressed data is broken") from error
        room -= len(part)
        if room < 0:
            raise UnreadableError("it is larger than allowed once it is decompressed")
        if not stream.eof:
            raise UnreadableError("its compressed data ends early")
        parts.append(part)
        body = stream.unused_data
        if window != _GZIP and body:
            raise UnreadableError("something follows its compressed data")
    return b"".join(parts)
