"""Prometheus' JSON as samples: everything that is not a whole vector of plain samples is a failure with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman.signals.samples import Answer, Failed, Sample

_SHOWN = 300


def parse(answer: Mapping[str, Any], about: str) -> Answer:
    """The samples of a successful instant query; `about` names the query in a failure."""
    warnings = answer.get("warnings")
    if warnings:
        return Failed(f"Prometheus gave partial data for {about}: {'; '.join(map(str, warnings))[:_SHOWN]}")
    data = answer.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "vector" or not isinstance(data.get("result"), list):
        found = data.get("resultType") if isinstance(data, dict) else type(data).__name__
        return Failed(f"Prometheus answered the query for {about} with {found!r} where a vector belongs")
    try:
        return tuple(_sample(item) for item in data["result"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return Failed(
            f"Prometheus answered the query for {about} with samples that cannot be read: are they native histograms?"
        )


def _sample(item: Mapping[str, Any]) -> Sample:
    _, value = item["value"]
    labels = item["metric"]
    if not all(isinstance(text, str) for text in labels.values()):
        raise TypeError("a label that is no string")
    return Sample(labels=labels, value=float(value))
