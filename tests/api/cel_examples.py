"""The table behind test_cel: for every sentence that a CEL rule says, values that earn it and values that do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Examples:
    """Values of the field (or object, or list) that a rule judges."""

    bad: tuple[Any, ...]
    good: tuple[Any, ...] = ()


TEMPLATE = {"spec": {"containers": [{"name": "model", "image": "registry.example.com/churn:7"}]}}
MODEL = {"version": "7"}
CANARY, APPROVAL, SHADOW = {"canary": {"percent": 5}}, {"approval": {}}, {"shadow": {"percent": 20}}
ERRORS = {"name": "errors", "signal": "Errors"}
AGREEMENT = {"name": "agreement", "signal": "Agreement"}
DRIFT = {"name": "scores", "signal": "PredictionDrift"}
REFUNDS = {
    "bad": 'refunds_total{app="shop"}',
    "total": 'orders_total{app="shop"}',
    "arm": {"label": "model_version", "is": "Version"},
}
EVENTS = {"name": "refunds", "signal": "Events", "events": REFUNDS}
HALF = {"query": "max(gpu_memory_ratio)", "max": "0.5"}
THRESHOLD = {"name": "memory", "signal": "Threshold", "threshold": HALF}
GATEWAY = {"name": "models", "namespace": "gateways"}
HOOK = {"name": "hook", "key": "token"}

UTILIZATION = {"type": "Utilization", "averageUtilization": 80}
VALUE = {"type": "Value", "value": 100}

EXAMPLES = {
    # --- names and places
    "write a name of at most 54 characters: revisions add 9 and have to fit into a label": Examples(
        bad=({"metadata": {"name": "a" * 55}},), good=({"metadata": {"name": "a" * 54}},)
    ),
    "write a name of lower-case letters, digits and `-` that begins with a letter, as a Service's": Examples(
        bad=({"metadata": {"name": "7b-chat"}}, {"metadata": {"name": "churn.v2"}}),
        good=({"metadata": {"name": "chat-7b"}},),
    ),
    "write the name of a Kubernetes object: lower-case letters, digits, `-` and `.`": Examples(
        bad=("Models", "a_b", "-a", ""), good=("mlserver", "team-a.v1", "7b")
    ),
    "write a name of lower-case letters, digits and `-`": Examples(bad=("a.b", "A", ""), good=("latency-p99", "7b")),
    "write a URI such as pvc://claim/path, oci://registry/image:tag or https://host/path": Examples(
        bad=("/mnt/models", "models/churn", "s3:/bucket", "s3:///key", "https://host/a b", "S3://bucket", ""),
        good=("s3://bucket/key", "https://host/model.joblib?x=1", "hf://org/model", "oci://r.example.com/a:1"),
    ),
    "write pvc://claim/path: a PersistentVolumeClaim of this namespace and a path in it without `.` and `..`": Examples(
        bad=(
            "pvc://Models/churn",
            "pvc://models/../etc",
            "pvc://models/a/..",
            "pvc://models/./a",
            "pvc:models",
            "pvc://models_x/a",
        ),
        good=("pvc://models/churn/7", "pvc://models", "pvc://models/", "pvc://models/a..b/.hidden"),
    ),
    "write the name of a container port, such as http, or its number from 1 to 65535": Examples(
        bad=(0, 65536, "8080", "Http", "http_1"), good=(1, 65535, "http", "h2c")
    ),
    "write a host name in lower case without port, such as churn.example.com or *.example.com": Examples(
        bad=("Churn.example.com", "churn.example.com:80", "http://churn", "*", "a.*.com", "10.0.0.1", "a..b"),
        good=("churn.example.com", "*.example.com", "churn", "1.example.com"),
    ),
    "write an API group, such as gateway.networking.k8s.io": Examples(
        bad=("Gateway", "gateway.networking.k8s.io/v1"), good=("", "gateway.networking.k8s.io")
    ),
    "write a kind, such as Gateway": Examples(bad=("gateway.v1", "", "7"), good=("Gateway", "Service")),
    "write each Gateway once, or give each entry its own sectionName or port": Examples(
        bad=(
            [GATEWAY, GATEWAY],
            [{**GATEWAY, "sectionName": "web"}, {**GATEWAY, "sectionName": "web"}],
            [{"name": "models"}, GATEWAY, {"name": "models"}],
        ),
        good=(
            [GATEWAY, {"name": "models"}],
            [{**GATEWAY, "sectionName": "web"}, {**GATEWAY, "sectionName": "secure"}],
            [{**GATEWAY, "port": 80}, {**GATEWAY, "port": 443}],
        ),
    ),
    "write `parentRefs`, the Gateways of a route that Pointsman makes, or `routeRef`, a route of yours: one of them": Examples(
        bad=({}, {"hostnames": ["churn.example.com"]}, {"parentRefs": [GATEWAY], "routeRef": {"name": "models"}}),
        good=({"parentRefs": [GATEWAY]}, {"routeRef": {"name": "models"}}),
    ),
    "remove `hostnames`: the route that `routeRef` names has its own": Examples(
        bad=({"routeRef": {"name": "models"}, "hostnames": ["churn.example.com"]},),
        good=({"routeRef": {"name": "models"}},),
    ),
    # --- how a model is served
    "say how to serve it: name a `runtime`, give `model.format`, or write a `template`": Examples(
        bad=({"model": MODEL}, {"model": MODEL, "port": 8080}),
        good=(
            {"model": MODEL, "runtime": "mlserver"},
            {"model": {**MODEL, "format": {"name": "sklearn"}}},
            {"model": MODEL, "template": TEMPLATE, "port": 8080},
        ),
    ),
    "write `port`, the port requests go to: a `template` alone does not say it": Examples(
        bad=({"model": MODEL, "template": TEMPLATE},),
        good=(
            {"model": MODEL, "template": TEMPLATE, "port": "http"},
            {"model": MODEL, "template": TEMPLATE, "runtime": "mlserver"},
        ),
    ),
    "remove `port` and `metrics`, which the runtime says; they belong to a `template` alone": Examples(
        bad=(
            {"model": MODEL, "runtime": "mlserver", "port": 8080},
            {"model": {**MODEL, "format": {"name": "sklearn"}}, "template": TEMPLATE, "port": 8080},
            {"model": MODEL, "runtime": "mlserver", "metrics": {"port": 8082, "latency": {"histogram": "h"}}},
        ),
        good=({"model": MODEL, "template": TEMPLATE, "port": 8080},),
    ),
    "say what to read: `requests` (Errors), `latency`, `timeToFirstToken` or `timePerOutputToken`": Examples(
        bad=({"port": 8082}, {"port": 8082, "path": "/metrics"}),
        good=(
            {"port": 8082, "latency": {"histogram": "request_seconds"}},
            {"port": 8082, "timeToFirstToken": {"histogram": "first_token_seconds"}},
            {"port": 8082, "timePerOutputToken": {"histogram": "token_seconds"}},
        ),
    ),
    "write a path that begins with `/`, such as /metrics, without a query": Examples(
        bad=("metrics", "/metrics?x=1", "/a b", ""), good=("/", "/metrics", "/monitoring/prometheus/metrics")
    ),
    "write the name of a metric: letters, digits, `_` and `:`, no label matchers": Examples(
        bad=('requests_total{code="500"}', "requests-total", "5xx", ""),
        good=("requests_total", ":tensorflow:serving:request_count"),
    ),
    "write Prometheus label names: letters, digits and `_`, not `__` at the start": Examples(
        bad=({"status-code": "5.."}, {"__name__": ".*"}, {"5xx": ".*"}, {"": ".*"}, {"a" * 129: ".*"}),
        good=({"status_code": "5.."}, {"_code": "5.."}, {"le": "1"}),
    ),
    "write the name of a histogram without _bucket, _sum or _count": Examples(
        bad=("request_seconds_bucket", "request_seconds_sum", "request_seconds_count", "request seconds"),
        good=("request_seconds", "tgi_request_duration", "vllm:e2e_request_latency_seconds"),
    ),
    # --- steps
    "write exactly one of `shadow`, `canary` and `approval` in a step": Examples(
        bad=({}, {"hold": "5m"}, {**CANARY, **APPROVAL}, {**SHADOW, **CANARY}, {**SHADOW, **APPROVAL}),
        good=(SHADOW, CANARY, APPROVAL),
    ),
    'write more than 0 and up to 100 percent, such as 20 or "0.5"': Examples(
        bad=(0, 101, -5, "0", "0.00", "5%", "0.005", "all"), good=(1, 100, "0.5", "100")
    ),
    "write shadow steps before the first canary step: after it users see the candidate's answers": Examples(
        bad=({"steps": [CANARY, SHADOW]}, {"steps": [SHADOW, CANARY, APPROVAL, SHADOW]}),
        good=({"steps": [SHADOW, APPROVAL, SHADOW, CANARY]}, {"steps": [SHADOW]}, {"steps": [SHADOW, APPROVAL]}),
    ),
    "add a shadow step, or remove the gates of signal Agreement and PredictionDrift: they compare mirrored requests": Examples(
        bad=({"steps": [CANARY], "gates": [AGREEMENT]}, {"steps": [CANARY, APPROVAL], "gates": [ERRORS, DRIFT]}),
        good=({"steps": [SHADOW], "gates": [AGREEMENT, DRIFT]}, {"steps": [CANARY], "gates": [ERRORS, EVENTS]}),
    ),
    "remove `hold`: an approval waits for a person": Examples(
        bad=({**APPROVAL, "hold": "5m"},), good=({**CANARY, "hold": "5m"}, {**SHADOW, "hold": "5m"})
    ),
    'write more than 0 and less than 100 percent, such as 5 or "0.5"; promotion follows the last step': Examples(
        bad=(0, 100, -5, 101, "0", "0.00", "100", "5%", "0.005", "five"), good=(1, 99, "0.5", "99.99", "33.3")
    ),
    "write the canary percentages in rising order: the share only grows from step to step": Examples(
        bad=(
            {"steps": [{"canary": {"percent": 50}}, {"canary": {"percent": 5}}]},
            {"steps": [{"canary": {"percent": 9}}, APPROVAL, {"canary": {"percent": "9.0"}}]},
        ),
        good=({"steps": [{"canary": {"percent": "0.5"}}, APPROVAL, {"canary": {"percent": 10}}, APPROVAL]},),
    ),
    "remove `gates`, or add a canary step: with approvals only there is no traffic to compare": Examples(
        bad=({"steps": [APPROVAL], "gates": [ERRORS]},),
        good=(
            {"steps": [APPROVAL]},
            {"steps": [APPROVAL], "gates": []},
            {"steps": [APPROVAL, CANARY], "gates": [ERRORS]},
            {"steps": [SHADOW, APPROVAL], "gates": [AGREEMENT]},
        ),
    ),
    'write maxSurge: "100%", or add a canary step: with approvals only everything moves at once': Examples(
        bad=({"steps": [APPROVAL, APPROVAL], "capacity": {"maxSurge": "50%"}},),
        good=(
            {"steps": [APPROVAL], "capacity": {"maxSurge": "100%"}},
            {"steps": [APPROVAL], "capacity": {"maxSurge": 4}},
            {"steps": [CANARY, APPROVAL], "capacity": {"maxSurge": "50%"}},
        ),
    ),
    # --- gates
    "remove `quantiles`: only the signals Latency, TimeToFirstToken and TimePerOutputToken have them": Examples(
        bad=({"name": "errors", "signal": "Errors", "quantiles": ["0.5"]},),
        good=(
            {"name": "latency", "signal": "Latency", "quantiles": ["0.5"]},
            {"name": "first-token", "signal": "TimeToFirstToken", "quantiles": ["0.5"]},
            {"name": "per-token", "signal": "TimePerOutputToken", "quantiles": ["0.5"]},
        ),
    ),
    "write `ratio` instead of `points`: a latency signal is measured in times of stable's quantile": Examples(
        bad=(
            {"name": "latency", "signal": "Latency", "tolerance": {"ratio": "1.2", "points": "1"}},
            {"name": "latency", "signal": "Latency", "harm": {"points": "1"}},
            {"name": "first-token", "signal": "TimeToFirstToken", "harm": {"points": "1"}},
            {"name": "per-token", "signal": "TimePerOutputToken", "tolerance": {"points": "1"}},
        ),
        good=(
            {"name": "latency", "signal": "Latency", "tolerance": {"ratio": "1.2"}, "harm": {"ratio": "1.5"}},
            {"name": "errors", "signal": "Errors", "tolerance": {"points": "1"}},
        ),
    ),
    "write `points` instead of `ratio`: drift is by how many points a tail of the predictions moves": Examples(
        bad=({**DRIFT, "tolerance": {"ratio": "1.2"}}, {**DRIFT, "tolerance": {"ratio": "1.2", "points": "1"}}),
        good=({**DRIFT, "tolerance": {"points": "5"}},),
    ),
    "remove `source`: only Errors and latency signals are measured by the Runtime or the Gateway": Examples(
        bad=({**AGREEMENT, "source": "Runtime"}, {**EVENTS, "source": "Gateway"}, {**THRESHOLD, "source": "Runtime"}),
        good=({**ERRORS, "source": "Gateway"}, {"name": "latency", "signal": "Latency", "source": "Runtime"}),
    ),
    "remove `atLeast` and `slices`: only the signal Agreement has them": Examples(
        bad=({**ERRORS, "atLeast": "99"}, {**DRIFT, "slices": {"header": "x-tenant"}}),
        good=({**AGREEMENT, "atLeast": "99", "slices": {"header": "x-tenant"}},),
    ),
    "remove `tolerance`: Agreement has `atLeast`, and a threshold its own `min` and `max`": Examples(
        bad=({**AGREEMENT, "tolerance": {"points": "1"}}, {**THRESHOLD, "tolerance": {"points": "1"}}),
        good=({**AGREEMENT, "atLeast": "98"}, {**EVENTS, "tolerance": {"points": "1"}, "harm": {"ratio": "2"}}),
    ),
    "remove `harm`: with Agreement, PredictionDrift and Threshold what is not inside the limit is harm": Examples(
        bad=(
            {**AGREEMENT, "harm": {"ratio": "2"}},
            {**DRIFT, "harm": {"points": "9"}},
            {**THRESHOLD, "harm": {"points": "1"}},
        ),
        good=({**EVENTS, "harm": {"ratio": "2"}},),
    ),
    "write `events` with the signal Events, and with no other one": Examples(
        bad=({"name": "refunds", "signal": "Events"}, {**ERRORS, "events": REFUNDS}), good=(EVENTS,)
    ),
    "write `threshold` with the signal Threshold, and with no other one": Examples(
        bad=({"name": "memory", "signal": "Threshold"}, {**ERRORS, "threshold": HALF}), good=(THRESHOLD,)
    ),
    "give `slices` to one gate only: requests are told apart in one way": Examples(
        bad=(
            {
                "steps": [SHADOW],
                "gates": [
                    {**AGREEMENT, "slices": {"header": "x-tenant"}},
                    {**AGREEMENT, "name": "by-country", "slices": {"path": "/country"}},
                ],
            },
        ),
        good=(
            {
                "steps": [SHADOW],
                "gates": [{**AGREEMENT, "slices": {"header": "x-tenant"}}, {**AGREEMENT, "name": "all"}],
            },
        ),
    ),
    "write exactly one of `header` and `path` in `slices`": Examples(
        bad=({}, {"max": 20}, {"header": "x-tenant", "path": "/tenant"}),
        good=({"header": "x-tenant"}, {"path": "/tenant", "max": 20}),
    ),
    "write the name of a header, such as x-tenant: letters, digits, `-` and `_`": Examples(
        bad=("x tenant", "x-tenant:", ":path", "-x", ""), good=("x-tenant", "X-Tenant", "x_1")
    ),
    "write a JSON pointer that begins with `/`, such as /inputs/0/data/3": Examples(
        bad=("inputs", "$.inputs[0]", "/a~2", "#/a", ""), good=("/inputs/0/data/3", "/a~1b/~0", "/")
    ),
    'write a percentage in quotes from "50" to "99.999", such as "99": that every answer agrees is never proven': Examples(
        bad=("100", "49.9", "99.9999", "99%", ""), good=("99", "99.9", "50")
    ),
    "write the name of a Prometheus label: letters, digits and `_`, not `__` at the start": Examples(
        bad=("model-version", "__name__", "7", "", "a.b"), good=("model_version", "_v", "V7")
    ),
    'write `min` or `max`, such as max: "0.9": what to compare with': Examples(
        bad=({"query": "up"}, {"query": "up", "for": "5m"}), good=(HALF, {"query": "up", "min": "1"})
    ),
    "write a `max` above `min`: between them is where the answer should be": Examples(
        bad=({"query": "up", "min": "1", "max": "1"}, {"query": "up", "min": "2", "max": "-1"}),
        good=({"query": "up", "min": "-1", "max": "0"},),
    ),
    'write a decimal number in quotes, such as "0.9"': Examples(
        bad=("1e3", ".5", "90%", "--1", "+1", ""), good=("0.9", "-40", "1000000000")
    ),
    # --- answers that are compared
    "write the name of an output, such as predict, or a JSON pointer, such as /choices/0/text": Examples(
        bad=("", " predict", "predict "), good=("predict", "/choices/0/text", "my output")
    ),
    'write a number from "0" up in quotes, such as "0.001"': Examples(
        bad=("-1", "1e-6", ""), good=("0", "0.001", "10")
    ),
    'write a percentage in quotes above "0" and up to "100", such as "80"': Examples(
        bad=("0", "100.1", "80%", ""), good=("80", "100", "0.5")
    ),
    "write `output`, what of the answer to compare; only Bytes has none: it compares whole answers": Examples(
        bad=({"kind": "Label"}, {"kind": "Bytes", "output": "predict"}),
        good=({"kind": "Label", "output": "predict"}, {"kind": "Bytes"}),
    ),
    "write `atMost`, the largest distance, with the kind Vector, and with no other one": Examples(
        bad=({"kind": "Vector", "output": "embedding"}, {"kind": "Numeric", "output": "predict", "atMost": "1"}),
        good=({"kind": "Vector", "output": "embedding", "atMost": "0.1", "distance": "Cosine"},),
    ),
    "write `k`, how many of the best are compared, with the kind TopK, and with no other one": Examples(
        bad=({"kind": "TopK", "output": "scores"}, {"kind": "Label", "output": "predict", "k": 3}),
        good=({"kind": "TopK", "output": "scores", "k": 5, "atLeast": "80"},),
    ),
    "remove `absolute`: only the kind Numeric has it": Examples(
        bad=({"output": "predict", "kind": "Label", "absolute": "1"},),
        good=({"output": "predict", "kind": "Numeric", "absolute": "1", "relative": "0.1"},),
    ),
    "remove `relative`: only the kind Numeric has it": Examples(
        bad=({"output": "text", "kind": "Text", "relative": "1"},),
    ),
    "remove `distance`: only the kind Vector has it": Examples(
        bad=({"output": "predict", "kind": "Numeric", "distance": "Cosine"},),
    ),
    "remove `atLeast`: only the kind TopK has it": Examples(
        bad=({"output": "predict", "kind": "Label", "atLeast": "80"},),
    ),
    "remove `form`: only the kind Text has it": Examples(
        bad=({"kind": "Bytes", "form": "Exact"},),
        good=({"output": "text", "kind": "Text", "form": "Normalised"},),
    ),
    "write exactly one of `configMap` and `path` in `reference`": Examples(
        bad=({}, {"configMap": "churn-7", "path": "reference.json"}),
        good=({"configMap": "churn-7"}, {"path": "reference.json"}),
    ),
    "write the path of a file beside the model, such as reference.json, without `/` at the start and `..`": Examples(
        bad=("/mnt/models/reference.json", "../reference.json", "a/../b", "a b.json", ""),
        good=("reference.json", "drift/reference.json", ".pointsman/a..b.json"),
    ),
    "write reference.configMap, or a `storageUri`: without one there is nothing beside the model": Examples(
        bad=({"version": "7", "reference": {"path": "reference.json"}},),
        good=(
            {"version": "7", "reference": {"configMap": "churn-7"}},
            {"version": "7", "storageUri": "pvc://models/churn/7", "reference": {"path": "reference.json"}},
        ),
    ),
    # --- after a promotion
    'write percentage points in quotes above "0" and up to "100", such as "3"': Examples(
        bad=("0", "0.0", "101", "3%", ""), good=("3", "0.5", "100")
    ),
    "write days or whole hours, such as 30d or 720h": Examples(
        bad=("0d", "30", "1d12h", "90m", "1.5d", ""), good=("30d", "720h", "1h")
    ),
    "write a URL such as https://hooks.example.com/path, without user, password and fragment": Examples(
        bad=(
            "hooks.example.com",
            "ftp://hooks.example.com",
            "https://user:secret@hooks.example.com",
            "https://hooks.example.com/#a",
            "https://",
            "https://hooks.example.com/a b",
        ),
        good=("https://hooks.example.com", "http://hooks.ml:8080/a?b=c", "http://[fd00::1]:80/a", "https://10.0.0.1/"),
    ),
    "write an https:// URL, or leave `secretRef` out: without TLS everybody on the way reads the token": Examples(
        bad=({"url": "http://hooks.example.com", "secretRef": HOOK},),
        good=(
            {"url": "https://hooks.example.com", "secretRef": HOOK},
            {"url": "http://hooks.ml", "secretRef": HOOK, "allowPrivate": True},
            {"url": "http://hooks.example.com"},
        ),
    ),
    "write a key of a Secret: letters, digits, `-`, `_` and `.`": Examples(
        bad=("a/b", "a b", ""), good=("token", "webhook.token", "TOKEN_1")
    ),
    'write a `ratio`, such as "1.5", or `points`, such as "0.1"': Examples(bad=({},), good=({"ratio": "1.5"},)),
    'a tolerance needs room: a ratio above "1", such as "1.5", or points above "0", such as "0.1"': Examples(
        bad=({"ratio": "1"}, {"points": "0"}, {"ratio": "1.0", "points": "0.0"}),
        good=({"ratio": "1.01"}, {"points": "0.1"}, {"ratio": "1", "points": "0.1"}),
    ),
    'write a ratio of at least "1" in quotes: that many times as bad as stable is allowed': Examples(
        bad=("0.99", "1,5", "-2", "1.", ".5", "x", ""), good=("1", "1.5", "30")
    ),
    'write percentage points in quotes from "0" to "100"': Examples(
        bad=("100.1", "-1", "1%", ""), good=("0", "0.1", "100")
    ),
    'write a quantile between 0 and 1 in quotes, such as "0.99"': Examples(
        bad=("1", "0", "0.0", "99", "p99", "1.5"), good=("0.5", "0.999", ".9")
    ),
    # --- times, rates, capacity
    "write a duration above zero, such as 30s, 5m or 1h30m": Examples(
        bad=("0s", "0h0m", "5", "5 m", "-5m", "1d", ""), good=("30s", "1h30m", "0.5h", "500ms", "999999h999999h9h")
    ),
    "write a duration, such as 0s, 30s or 1h30m": Examples(bad=("0", "1d", ""), good=("0s", "30m")),
    "write an interval of at least 1s, and no shorter than Prometheus' scrape interval, such as 10s": Examples(
        bad=("999ms", "0s", "10", ""), good=("1s", "10s", "1m30s")
    ),
    'write a percentage in quotes from "0.001" to "20"': Examples(
        bad=("0", "0.0001", "20.1", "1%", ""), good=("1", "5", "0.001", "20")
    ),
    'write a number of pods, such as 1, or a percentage, such as "25%"': Examples(
        bad=(-1, 10001, "1", "101%", "2.5%", "00%"), good=(0, 4, "0%", "100%")
    ),
    "give maxSurge or maxUnavailable at least 1: with both 0 there is no pod to start with": Examples(
        bad=({"maxSurge": 0, "maxUnavailable": 0}, {"maxSurge": "0%", "maxUnavailable": 0}),
        good=({"maxSurge": 0, "maxUnavailable": 1}, {"maxSurge": 0}, {"maxUnavailable": "0%"}),
    ),
    # --- autoscaling
    "write `replicas` or `autoscaling`, not both: with `autoscaling` the number of pods follows the load": Examples(
        bad=({"model": MODEL, "runtime": "mlserver", "replicas": 2, "autoscaling": {"maxReplicas": 4}},),
        good=({"model": MODEL, "runtime": "mlserver", "autoscaling": {"maxReplicas": 4}},),
    ),
    "write maxReplicas of at least minReplicas": Examples(
        bad=({"minReplicas": 3, "maxReplicas": 2},),
        good=({"minReplicas": 2, "maxReplicas": 2}, {"maxReplicas": 1}),
    ),
    'write an amount above zero, such as 10, "500m" or "2Gi"': Examples(
        bad=(0, -1, "0", "-1", "many", "1x", "", "1..2"), good=(1, "500m", "2Gi", "0.5", "1e3")
    ),
    "write the one of averageUtilization, averageValue and value that `type` names": Examples(
        bad=(
            {"type": "Utilization"},
            {"type": "Utilization", "averageValue": 1},
            {"type": "AverageValue", "averageValue": 1, "value": 1},
            {"type": "Value", "averageUtilization": 80},
        ),
        good=(UTILIZATION, {"type": "AverageValue", "averageValue": "1"}, {"type": "Value", "value": 1}),
    ),
    "write the one field that `type` names: resource, containerResource, pods, object or external": Examples(
        bad=(
            {"type": "Resource"},
            {"type": "Pods", "resource": {"name": "cpu", "target": UTILIZATION}},
            {"type": "External", "resource": {"name": "cpu", "target": UTILIZATION}},
        ),
        good=({"type": "Resource", "resource": {"name": "memory", "target": UTILIZATION}},),
    ),
    "write target.type Utilization or AverageValue: each pod has its own CPU and memory": Examples(
        bad=({"type": "Resource", "resource": {"name": "cpu", "target": VALUE}},),
        good=(
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": 1}}},
        ),
    ),
    "write target.type AverageValue: each pod has its own value of this metric": Examples(
        bad=({"type": "Pods", "pods": {"metric": {"name": "requests"}, "target": VALUE}},),
        good=(
            {
                "type": "Pods",
                "pods": {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": 1}},
            },
        ),
    ),
    "write target.type Value or AverageValue: only CPU and memory have a utilization": Examples(
        bad=({"type": "External", "external": {"metric": {"name": "queue"}, "target": UTILIZATION}},),
        good=({"type": "External", "external": {"metric": {"name": "queue"}, "target": VALUE}},),
    ),
    "write maxSurge of at least 1, or more replicas: one pod cannot make room for the next version": Examples(
        bad=(
            {"model": MODEL, "runtime": "mlserver", "rollout": {"capacity": {"maxSurge": 0}}},
            {"model": MODEL, "runtime": "mlserver", "replicas": 1, "rollout": {"capacity": {"maxSurge": "0%"}}},
            {
                "model": MODEL,
                "runtime": "mlserver",
                "autoscaling": {"maxReplicas": 4},
                "rollout": {"capacity": {"maxSurge": 0}},
            },
        ),
        good=(
            {
                "model": MODEL,
                "runtime": "mlserver",
                "autoscaling": {"minReplicas": 2, "maxReplicas": 4},
                "rollout": {"capacity": {"maxSurge": 0}},
            },
            {"model": MODEL, "runtime": "mlserver", "replicas": 2, "rollout": {"capacity": {"maxSurge": 0}}},
            {"model": MODEL, "runtime": "mlserver", "rollout": {"capacity": {"maxSurge": 1}}},
        ),
    ),
}

IMMUTABLE = "edit the ModelDeployment, which makes a new revision: this one does not change"

METRICS = {
    "port": "metrics",
    "path": "/metrics",
    "requests": {"counter": "requests_total", "match": {"path": "/infer"}, "failed": {"code": "5.."}},
    "latency": {"histogram": "request_seconds", "unit": "s", "match": {"path": "/infer"}},
    "timeToFirstToken": {"histogram": "first_token_seconds", "unit": "s", "match": {"path": "/infer"}},
    "timePerOutputToken": {"histogram": "token_seconds", "unit": "s", "match": {"path": "/infer"}},
}
ROLLOUT = {
    "steps": [{"shadow": {"percent": 20}, "hold": "5m"}, {"canary": {"percent": 5}, "hold": "5m"}, APPROVAL],
    "gates": [
        {"name": "latency", "signal": "Latency", "tolerance": {"ratio": "1.2"}, "harm": {"ratio": "1.5"}},
        {"name": "errors", "signal": "Errors", "source": "Gateway", "required": False},
        {"name": "first-token", "signal": "TimeToFirstToken", "quantiles": ["0.5", "0.99"]},
        {**AGREEMENT, "atLeast": "99", "slices": {"header": "x-tenant", "max": 20}},
        {**DRIFT, "tolerance": {"points": "5"}},
        {**EVENTS, "tolerance": {"points": "1"}},
        {**THRESHOLD, "threshold": {**HALF, "min": "0", "for": "5m", "action": "Pause"}},
    ],
    "interval": "10s",
    "confidence": {"falseRollback": "1", "falsePromotion": "5"},
    "deadline": "2h",
    "whenUndecided": "Hold",
    "capacity": {"maxSurge": "25%", "maxUnavailable": 0},
    "warmup": {"duration": "30s", "requests": 50},
    "progressDeadline": "10m",
    "keepPrevious": "30m",
    "compare": {
        "protocol": "OpenInference",
        "comparators": [
            {"output": "predict", "kind": "Numeric", "absolute": "0.01", "relative": "0.001"},
            {"output": "embedding", "kind": "Vector", "distance": "Cosine", "atMost": "0.01"},
            {"output": "scores", "kind": "TopK", "k": 5, "atLeast": "80"},
            {"output": "text", "kind": "Text", "form": "Normalised"},
            {"kind": "Bytes"},
        ],
        "forwardHeaders": ["authorization"],
        "features": ["/inputs/0/data/3"],
    },
    "watch": {
        "percent": 2,
        "interval": "1m",
        "meanTimeBetweenFalseAlarms": "30d",
        "tolerance": {"points": "3"},
        "onPredictionDrift": "Alert",
    },
    "notify": [
        {
            "webhook": {
                "url": "https://hooks.example.com/pointsman",
                "secretRef": {"name": "hook", "key": "token"},
                "allowPrivate": False,
            },
            "when": [
                "Started",
                "AwaitingApproval",
                "Undecided",
                "Promoted",
                "RolledBack",
                "Aborted",
                "Superseded",
                "Drifted",
            ],
        }
    ],
}
EACH_POD = {"type": "AverageValue", "averageValue": 10}
PER_SECOND: Object = {"metric": {"name": "requests_per_second"}, "target": EACH_POD}
INGRESS = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "churn"}
SCALING: dict[str, Object] = {
    "resource": {"type": "Resource", "resource": {"name": "cpu", "target": UTILIZATION}},
    "containerResource": {
        "type": "ContainerResource",
        "containerResource": {"container": "model", "name": "cpu", "target": UTILIZATION},
    },
    "pods": {"type": "Pods", "pods": PER_SECOND},
    "object": {"type": "Object", "object": {"describedObject": INGRESS, **PER_SECOND}},
    "external": {"type": "External", "external": PER_SECOND},
}
SPECS: dict[str, Object] = {
    "ModelDeployment": {
        "model": {
            "version": "7",
            "storageUri": "pvc://models/churn/7",
            "reference": {"path": "reference.json"},
        },
        "template": TEMPLATE,
        "port": "http",
        "metrics": METRICS,
        "autoscaling": {"minReplicas": 4, "maxReplicas": 12, "metrics": list(SCALING.values())},
        "traffic": {"parentRefs": [GATEWAY], "hostnames": ["churn.example.com"]},
        "rollout": ROLLOUT,
    },
    "ModelRevision": {
        "deployment": "churn",
        "model": {"version": "7", "format": {"name": "sklearn"}, "storageUri": "pvc://models/churn/7"},
        "runtime": {"name": "mlserver", "generation": 3},
        "template": TEMPLATE,
        "port": "http",
        "metrics": METRICS,
    },
    "ModelRuntime": {
        "formats": [{"name": "sklearn", "autoSelect": True}],
        "template": TEMPLATE,
        "port": "http",
        "protocol": "OpenInference",
        "metrics": METRICS,
    },
    "RolloutPolicy": ROLLOUT,
}
