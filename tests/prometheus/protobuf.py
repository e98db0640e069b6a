"""Prometheus' protobuf exposition of one native histogram, which no text format carries (io.prometheus.client.MetricFamily)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import pairwise

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
_HISTOGRAM = 4  # MetricType


def native(
    name: str, counts: Mapping[int, int], *, schema: int, labels: Mapping[str, str], around_zero: int = 0
) -> bytes:
    """A histogram with so many requests in the buckets of these numbers: bucket i ends at 2^(i 2^-schema)."""
    spans, deltas, end = b"", b"", 0
    for number in sorted(counts):  # a span each: offset from the one before, and its length
        spans += _message(12, _number(1, _signed(number - end)) + _number(2, 1))
        end = number + 1
    for before, after in pairwise([0, *(counts[number] for number in sorted(counts))]):
        deltas += _varint(_signed(after - before))
    histogram = (
        _number(1, sum(counts.values()) + around_zero)
        + _double(2, 1.0)  # the sum, which nobody reads
        + _number(5, _signed(schema))
        + _double(6, 2.938735877055719e-39)
        + _number(7, around_zero)
        + spans
        + _message(13, deltas)
    )
    pairs = b"".join(_message(1, _text(1, label) + _text(2, value)) for label, value in labels.items())
    return _family(name, _HISTOGRAM, pairs + _message(7, histogram))


def gauge(name: str, value: float) -> bytes:
    """A gauge without labels."""
    return _family(name, 1, _message(2, _double(1, value)))


def _family(name: str, kind: int, metric: bytes) -> bytes:
    family = _text(1, name) + _number(3, kind) + _message(4, metric)
    return _varint(len(family)) + family


def _signed(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())
