"""Prometheus' JSON as samples: everything that is not a whole vector of plain samples is a failure with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pointsman.signals.samples import Answer, Failed, Native, RangeAnswer, Sample, Series

_SHOWN = 300
_TEXT = frozenset({str})
_Read = TypeVar("_Read")


def parse(answer: Mapping[str, Any], about: str) -> Answer:
    """The samples of a successful instant query, one of a query for a number; `about` names the query in a failure."""
    data = answer.get("data")
    if isinstance(data, dict) and data.get("resultType") == "scalar":
        answer = {**answer, "data": {"resultType": "vector", "result": [{"metric": {}, "value": data.get("result")}]}}
    return _parsed(answer, about, kind="vector", read=_sample)


def parse_range(answer: Mapping[str, Any], about: str) -> RangeAnswer:
    """The series of a successful range query; `about` names the query in a failure."""
    return _parsed(answer, about, kind="matrix", read=_series)


def _parsed(
    answer: Mapping[str, Any], about: str, *, kind: str, read: Callable[[Mapping[str, Any]], Iterable[_Read]]
) -> tuple[_Read, ...] | Failed:
    warnings = answer.get("warnings")
    if warnings:
        return Failed(f"Prometheus gave partial data for {about}: {'; '.join(map(str, warnings))[:_SHOWN]}")
    data = answer.get("data")
    if not isinstance(data, dict) or data.get("resultType") != kind or not isinstance(data.get("result"), list):
        found = data.get("resultType") if isinstance(data, dict) else type(data).__name__
        return Failed(f"Prometheus answered the query for {about} with {found!r} where a {kind} belongs")
    try:
        return tuple(one for item in data["result"] for one in read(item))
    except (KeyError, TypeError, ValueError, AttributeError):
        return Failed(f"Prometheus answered the query for {about} with samples that cannot be read")


def _sample(item: Mapping[str, Any]) -> Iterable[Sample]:
    if "histogram" in item:
        found = _native(item["histogram"][1])
        yield Sample(labels=_labels(item), value=found.count, histogram=found)
        return
    _, value = item["value"]
    yield Sample(labels=_labels(item), value=float(value))


def _series(item: Mapping[str, Any]) -> Iterable[Series]:
    """One, or two where plain numbers gave way to native histograms under the same labels."""
    labels = _labels(item)
    if "histograms" in item:
        natives = [(float(time), _native(found)) for time, found in item["histograms"]]
        yield Series(
            labels=labels,
            times=tuple(time for time, _ in natives),
            values=tuple(found.count for _, found in natives),
            histograms=tuple(found for _, found in natives),
        )
    if "values" in item or "histograms" not in item:
        points = item["values"]
        yield Series(
            labels=labels,
            times=tuple(float(time) for time, _ in points),
            values=tuple(float(value) for _, value in points),
        )


def _native(found: Mapping[str, Any]) -> Native:
    buckets = found.get("buckets") or ()  # an empty histogram has none
    return Native(
        count=float(found["count"]),
        buckets=tuple((float(lower), float(upper), float(count)) for _, lower, upper, count in buckets),
    )


def _labels(item: Mapping[str, Any]) -> Mapping[str, str]:
    labels: Mapping[str, str] = item["metric"]
    if not set(map(type, labels.values())) <= _TEXT:
        raise TypeError("a label that is no string")
    return labels
