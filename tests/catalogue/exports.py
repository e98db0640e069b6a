"""What the model servers of the catalogue export, a line a series, and what a profile should make of it.

MLServer's and KServe's are from processes that ran (tests/e2e). The others are from their source: vllm/v1/metrics/loggers.py and
prometheus-fastapi-instrumentator; SGLang's metrics_collector.py and add_prometheus_track_response_middleware; Triton's docs/user_guide/metrics.md;
TensorFlow Serving's servables/tensorflow/util.cc; TGI's router/src/server.rs; OpenVINO Model Server's docs/metrics.md; BentoML's instruments.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Counts = Literal["request", "failure", "latency", "timeToFirstToken", "timePerOutputToken"]


@dataclass(frozen=True)
class Series:
    """A series as the server exports it.

    Attributes:
        metric: its name; a histogram's without `_bucket`.
        counts: what its profile should read it as; nothing for what is no inference, or not successful where only that is timed.
    """

    metric: str
    labels: Mapping[str, str] = field(default_factory=dict)
    counts: frozenset[Counts] = frozenset()


def series(metric: str, *counts: Counts, **labels: str) -> Series:
    return Series(metric, labels, frozenset(counts))


_INFER, _INFER_VERSION = "/v2/models/{model_name}/infer", "/v2/models/{model_name}/versions/{model_version}/infer"


def _mlserver(path: str, status: str, *counts: Counts) -> tuple[Series, ...]:
    """Its `path` is the route's template, braces included."""
    labels = {"app_name": "mlserver", "method": "POST", "path": path, "status_code": status}
    rate = frozenset(counts) & {"request", "failure"}
    time = frozenset(counts) & {"latency"}
    return (
        Series("rest_server_requests_total", labels, rate),
        Series("rest_server_request_duration_seconds", labels, time),
    )


def _bentoml(endpoint: str, status: str, *counts: Counts) -> tuple[Series, ...]:
    labels = {"endpoint": endpoint, "http_response_code": status, "service_name": "churn", "service_version": "7"}
    rate = frozenset(counts) & {"request", "failure"}
    time = frozenset(counts) & {"latency"}
    return (
        Series("bentoml_service_request_total", labels, rate),
        Series("bentoml_service_request_duration_seconds", labels, time),
    )


EXPORTS: Final[Mapping[str, tuple[Series, ...]]] = {
    "mlserver": (
        *_mlserver(_INFER, "200", "request", "latency"),
        *_mlserver(_INFER_VERSION, "200", "request", "latency"),
        *_mlserver(_INFER, "500", "request", "failure"),  # failures are quick: they are not evidence of speed
        *_mlserver(_INFER, "422", "request"),  # the caller's fault
        *_mlserver("/v2/health/ready", "200"),
        *_mlserver("/v2/models/{model_name}/ready", "200"),  # a probe on the model's own path
        *_mlserver("/v2/models/{model_name}", "404"),
    ),
    "kserve-sklearn": (
        series("request_predict_seconds", "latency", model_name="churn"),
        series("request_preprocess_seconds", model_name="churn"),
        series("request_postprocess_seconds", model_name="churn"),
        series("request_explain_seconds", model_name="churn"),
    ),
    "bentoml": (
        *_bentoml("/predict", "200", "request", "latency"),
        *_bentoml("/rank", "200", "request", "latency"),
        *_bentoml("/list_similar", "200", "request", "latency"),
        *_bentoml("/read_text", "200", "request", "latency"),
        *_bentoml("/predict", "500", "request", "failure"),
        *_bentoml("/predict", "400", "request"),
        *_bentoml("/livez", "200"),
        *_bentoml("/readyz", "200"),
        *_bentoml("/readyz", "503"),
        *_bentoml("/", "200"),
    ),
    "triton": (
        series("nv_inference_request_success", model="churn", version="1"),
        series("nv_inference_request_failure", model="churn", version="1", reason="BACKEND"),
        series("nv_inference_request_duration_us", model="churn", version="1"),
        series("nv_inference_first_response_histogram_ms", "timeToFirstToken", model="churn", version="1"),
    ),
    "tensorflow-serving": (
        series(":tensorflow:serving:request_count", "request", model_name="churn", status="OK"),
        series(":tensorflow:serving:request_count", "request", "failure", model_name="churn", status="INTERNAL"),
        series(
            ":tensorflow:serving:request_count", "request", "failure", model_name="churn", status="INVALID_ARGUMENT"
        ),
        series(":tensorflow:serving:request_latency", "latency", model_name="churn", API="predict", entrypoint="REST"),
        series(":tensorflow:serving:request_latency", "latency", model_name="churn", API="Predict", entrypoint="GRPC"),
        series(":tensorflow:serving:runtime_latency", model_name="churn", API="Predict", runtime="TF1"),
    ),
    "vllm": (
        series("http_requests_total", "request", handler="/v1/chat/completions", method="POST", status="2xx"),
        series("http_requests_total", "request", handler="/v1/completions", method="POST", status="4xx"),
        series("http_requests_total", "request", "failure", handler="/v1/completions", method="POST", status="5xx"),
        series("http_requests_total", handler="/health", method="GET", status="2xx"),
        series("http_requests_total", handler="/v1/models", method="GET", status="2xx"),
        series("http_requests_total", handler="none", method="GET", status="4xx"),
        series("vllm:e2e_request_latency_seconds", "latency", model_name="churn", engine="0"),
        series("vllm:time_to_first_token_seconds", "timeToFirstToken", model_name="churn", engine="0"),
        series("vllm:request_time_per_output_token_seconds", "timePerOutputToken", model_name="churn", engine="0"),
        series("vllm:inter_token_latency_seconds", model_name="churn", engine="0"),
        series("vllm:request_success_total", model_name="churn", engine="0", finished_reason="stop"),
    ),
    "sglang": (
        series(
            "sglang:http_responses_total", "request", endpoint="/v1/chat/completions", method="POST", status_code="200"
        ),
        series(
            "sglang:http_responses_total", "request", "failure", endpoint="/generate", method="POST", status_code="500"
        ),
        series("sglang:http_responses_total", endpoint="/health", method="GET", status_code="503"),
        series("sglang:http_responses_total", endpoint="Unknown", method="GET", status_code="404"),
        series("sglang:e2e_request_latency_seconds", "latency", model_name="churn"),
        series("sglang:time_to_first_token_seconds", "timeToFirstToken", model_name="churn"),
        series("sglang:inter_token_latency_seconds", "timePerOutputToken", model_name="churn"),
        series("sglang:num_requests_total", model_name="churn"),
        series("sglang:num_aborted_requests_total", model_name="churn"),
    ),
    "tgi": (
        series("tgi_request_count"),
        series("tgi_request_success"),
        series("tgi_request_failure", err="overloaded"),
        series("tgi_request_duration", "latency"),
        series("tgi_request_mean_time_per_token_duration", "timePerOutputToken"),
        series("tgi_request_queue_duration"),
    ),
    "ovms": (
        series("ovms_requests_success", api="KServe", interface="REST", method="ModelInfer", name="churn", version="1"),
        series("ovms_requests_fail", api="KServe", interface="REST", method="ModelInfer", name="churn", version="1"),
        series("ovms_requests_success", api="KServe", interface="REST", method="ModelReady", name="churn"),
        series("ovms_request_time_us", "latency", interface="REST", name="churn", version="1"),
        series("ovms_request_time_us", interface="gRPC", name="churn", version="1"),
        series("ovms_inference_time_us", name="churn", version="1"),
    ),
}
"""By the name of the ModelRuntime."""
