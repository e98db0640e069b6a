"""Comparators: whether two answers say the same."""

from __future__ import annotations

import math
import string
import unicodedata
from collections.abc import Sequence
from typing import Final

from pointsman.inspector.assignment import Bytes, Comparator, Label, Numeric, Text, TopK, Vector
from pointsman.inspector.documents import Scalar
from pointsman.inspector.outputs import Answer, Output

_RELATIVE: Final = 1e-6
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation + "\u2018\u2019\u201c\u201d\u2013\u2014\u2026")


def readable(comparators: Sequence[Comparator], answer: Answer) -> bool:
    """Whether the comparators find in an answer what they compare."""
    return all(_finds(comparator, answer) for comparator in comparators)


def _finds(comparator: Comparator, answer: Answer) -> bool:
    if isinstance(comparator, Bytes):
        return True
    output = answer.output(comparator.output)
    match comparator:
        case _ if output is None:
            return False
        case Numeric() | Vector():
            return bool(output.values) and None not in _numbers(output.values)
        case Text():
            return all(isinstance(value, str) for value in output.values)
        case TopK():
            return bool(output.values)
        case _:
            return True


def agree(comparators: Sequence[Comparator], stable: Answer, candidate: Answer) -> bool:
    """Whether the candidate's answer is the same, as far as the comparators say, or in all its outputs without any.

    An answer in which a comparator does not find what it compares is not the same.
    """
    if not comparators:
        return stable.outputs.keys() == candidate.outputs.keys() and all(
            _alike(one, candidate.outputs[name]) for name, one in stable.outputs.items()
        )
    return all(
        _finds(one, stable) and _finds(one, candidate) and _agrees(one, stable, candidate) for one in comparators
    )


def _agrees(comparator: Comparator, stable: Answer, candidate: Answer) -> bool:
    if isinstance(comparator, Bytes):
        return stable.body == candidate.body
    one, other = stable.output(comparator.output), candidate.output(comparator.output)
    if one is None or other is None:
        return False
    return _says_the_same(comparator, one, other)


def _says_the_same(comparator: Label | Numeric | Vector | TopK | Text, one: Output, other: Output) -> bool:
    match comparator:
        case TopK():
            return 100 * _overlap(one, other, comparator.k) >= comparator.at_least
        case _ if one.shape != other.shape:
            return False
        case Label():
            return _same(one.values, other.values)
        case Numeric():
            return _near(one.values, other.values, comparator)
        case Vector():
            return _far(one, other, comparator.distance) <= comparator.at_most
        case Text():
            form = _normalised if comparator.form == "Normalised" else str
            return [form(str(value)) for value in one.values] == [form(str(value)) for value in other.values]


def _alike(one: Output, other: Output) -> bool:
    """Without a comparator: floats to 1e-6 relative, everything else exactly."""
    return (
        one.shape == other.shape
        and len(one.values) == len(other.values)
        and all(a == b or _floats(a, b) for a, b in zip(one.values, other.values, strict=True))
        and _kinds(one.values) == _kinds(other.values)
    )


def _floats(one: Scalar, other: Scalar) -> bool:
    """Whether they are the same but for rounding, at least one of them being a float."""
    if not isinstance(one, float) and not isinstance(other, float):
        return False
    a, b = _number(one), _number(other)
    return a is not None and b is not None and _close(a, b, relative=_RELATIVE, absolute=0.0)


def _close(one: float, other: float, *, relative: float, absolute: float) -> bool:
    """Not a number is what users get from both: the same."""
    return math.isclose(one, other, rel_tol=relative, abs_tol=absolute) or (math.isnan(one) and math.isnan(other))


def _kinds(values: Sequence[Scalar]) -> list[bool]:
    """Where the truth values are: to Python True is 1."""
    return [isinstance(value, bool) for value in values]


def _same(one: Sequence[Scalar], other: Sequence[Scalar]) -> bool:
    return one == other and _kinds(one) == _kinds(other)


def _number(value: Scalar) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _numbers(values: Sequence[Scalar]) -> list[float | None]:
    return [_number(value) for value in values]


def _near(one: Sequence[Scalar], other: Sequence[Scalar], allowed: Numeric) -> bool:
    return len(one) == len(other) and all(
        a is not None and b is not None and _close(a, b, relative=allowed.relative, absolute=allowed.absolute)
        for a, b in zip(_numbers(one), _numbers(other), strict=True)
    )


def _far(one: Output, other: Output, distance: str) -> float:
    """The largest distance between a row of one and the same row of the other; infinite where there is none."""
    pairs = list(zip(one.rows(), other.rows(), strict=False))
    if len(one.values) != len(other.values) or not pairs:
        return math.inf
    measure = _cosine if distance == "Cosine" else math.dist
    return max(_distance(measure(_plain(a), _plain(b))) for a, b in pairs)


def _distance(found: float) -> float:
    return math.inf if math.isnan(found) else found


def _plain(row: Sequence[Scalar]) -> list[float]:
    return [number if number is not None else math.nan for number in _numbers(row)]


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    if lengths == 0:
        return 0.0 if list(one) == list(other) else 1.0
    return 1.0 - sum(a * b for a, b in zip(one, other, strict=True)) / lengths


def _overlap(one: Output, other: Output, k: int) -> float:
    """The least share of the k best of a row that the same row of the other has among its own."""
    rows, others = one.rows(), other.rows()
    if len(rows) != len(others) or not rows:
        return 0.0
    return min(_common(_best(row, k), _best(its, k)) for row, its in zip(rows, others, strict=True))


def _common(one: frozenset[Scalar], other: frozenset[Scalar]) -> float:
    return len(one & other) / max(len(one), len(other))


def _best(row: Sequence[Scalar], k: int) -> frozenset[Scalar]:
    """Of scores the places of the k largest, the first of equals; else the list is ranked, and its first k are best."""
    if any(isinstance(value, float) for value in row) and None not in _numbers(row):
        scores = _plain(row)
        return frozenset(sorted(range(len(scores)), key=lambda place: (-scores[place], place))[:k])
    return frozenset(row[:k])


def _normalised(text: str) -> str:
    """Without what two models that mean the same write differently: case, compatibility forms, punctuation, spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().translate(_PUNCTUATION).split())
