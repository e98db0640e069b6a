"""Whether the matchers of a metric profile are regular expressions that Prometheus can read."""

from __future__ import annotations

import re

from pointsman.api.modelruntime import Metrics

_LOOKAROUND = ("(?=", "(?!", "(?<=", "(?<!")


def pattern_fault(metrics: Metrics) -> str | None:
    """Which matcher of a metric profile is no regular expression; None: all are."""
    matchers = {
        "metrics.requests.match": metrics.requests.match if metrics.requests else None,
        "metrics.requests.failed": metrics.requests.failed if metrics.requests else None,
        "metrics.latency.match": metrics.latency.match if metrics.latency else None,
    }
    for where, labels in matchers.items():
        for label, pattern in (labels or {}).items():
            try:
                re.compile(pattern)
            except re.error as error:
                return f"{where}.{label}: {pattern!r} is not a regular expression: {error}"
            if any(look in pattern for look in _LOOKAROUND):
                return f"{where}.{label}: {pattern!r} looks around, which Prometheus' regular expressions (RE2) cannot"
    return None
