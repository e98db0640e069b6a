"""What a command without a cluster takes as measured: a model server that counts requests and times them."""

from __future__ import annotations

from typing import Final

from pointsman.api.modelruntime import LatencyMetric, Metrics, RequestsMetric

COUNTED: Final = Metrics(port=8080, requests=RequestsMetric(counter="requests_total", failed={"code": "5.."}))
"""Requests and failures only."""

MEASURED: Final = COUNTED.model_copy(
    update={"latency": LatencyMetric(histogram="latency_seconds", unit="s", match=None)}
)
"""Latency, too."""
