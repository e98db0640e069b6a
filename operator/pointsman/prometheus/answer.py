"""Prometheus' JSON as samples: everything that is not a whole vector of plain samples is a failure with a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pointsman.signals.samples import Answer, Failed, RangeAnswer, Sample, Series

_SHOWN = 300
_Read = TypeVar("_Read")


def parse(answer: Mapping[str, Any], about: str) -> Answer:
    """The samples of a successful instant query; `about` names the query in a failure."""
    return _parsed(answer, about, kind="vector", read=_sample)


def parse_range(answer: Mapping[str, Any], about: str) -> RangeAnswer:
    """The series of a successful range query; `about` names the query in a failure."""
    return _parsed(answer, about, kind="matrix", read=_series)


def _parsed(
    answer: Mapping[str, Any], about: str, *, kind: str, read: Callable[[Mapping[str, Any]], _Read]
) -> tuple[_Read, ...] | Failed:
    warnings = answer.get("warnings")
    if warnings:
        return Failed(f"Prometheus gave partial data for {about}: {'; '.join(map(str, warnings))[:_SHOWN]}")
    data = answer.get("data")
    if not isinstance(data, dict) or data.get("resultType") != kind or not isinstance(data.get("result"), list):
        found = data.get("resultType") if isinstance(data, dict) else type(data).__name__
        return Failed(f"Prometheus answered the query for {about} with {found!r} where a {kind} belongs")
    try:
        return tuple(read(item) for item in data["result"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return Failed(
            f"Prometheus answered the query for {about} with samples that cannot be read: are they native histograms?"
        )


def _sample(item: Mapping[str, Any]) -> Sample:
    _, value = item["value"]
    return Sample(labels=_labels(item), value=float(value))


def _series(item: Mapping[str, Any]) -> Series:
    points = item["values"]
    return Series(
        labels=_labels(item),
        times=tuple(float(time) for time, _ in points),
        values=tuple(float(value) for _, value in points),
    )


def _labels(item: Mapping[str, Any]) -> Mapping[str, str]:
    labels: Mapping[str, str] = item["metric"]
    if not all(isinstance(text, str) for text in labels.values()):
        raise TypeError("a label that is no string")
    return labels
