"""A Prometheus that answers from a table, and that can be told to answer wrongly: faults that a real one cannot be asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from pointsman.signals.matching import FAILED, PART, SCRAPED, STARTED
from tests.api.operator_models import Models, Pod

COUNTER = "inference_requests_total"
MISSPELT = "inference_request_total"
"""A counter that nobody exports."""
EVENTS = "orders_total"
"""Every request is an order, and one that fails is a bad one."""
LIMITED = "gpu_memory_ratio"
_STARTED = 1_700_000_000

Answer = dict[str, Any]
Samples = list[Answer]
Fault = Callable[[Samples], bytes]
"""From the samples that belong into the answer to the body that is sent instead."""


def page(_: Samples) -> bytes:
    """A login page, where the URL is not that of Prometheus."""
    return b"<!doctype html><html><title>Sign in</title></html>"


def no_numbers(samples: Samples) -> bytes:
    """Every counter is NaN."""
    return _vector([one | ({"value": [one["value"][0], "NaN"]} if _counts(one) else {}) for one in samples])


def twice(samples: Samples) -> bytes:
    """Every pod is scraped by two jobs, as with two PodMonitors that both select it."""
    return _vector([{**one, "metric": {**one["metric"], "job": job}} for one in samples for job in ("one", "other")])


def empty(_: Samples) -> bytes:
    """No series at all."""
    return _vector([])


class Prometheus:
    """Serves /api/v1/query and /api/v1/query_range on a port of its own, which stays the same when it is taken down and up again."""

    def __init__(self, namespace: str, models: Models) -> None:
        self._namespace = namespace
        self._models = models
        self._fault: Fault | None = None
        self._hang = threading.Event()
        self._hang.set()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.limited = 0.5
        self._up()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._port}"

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Answer wrongly meanwhile."""
        self._fault = fault
        try:
            yield
        finally:
            self._fault = None

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Answer nothing meanwhile, and all that was asked for at the end."""
        self._hang.clear()
        try:
            yield
        finally:
            self._hang.set()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections meanwhile."""
        self.close()
        try:
            yield
        finally:
            self._up()

    def close(self) -> None:
        """Stop."""
        self._hang.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def answer(self, query: str, at: float) -> bytes:
        """The body for a query: counters and starts of all pods, or when they were scraped."""
        self._hang.wait()
        if query.startswith("sum by (") and COUNTER in query:
            samples = [sample for pod in self._models.serve() for sample in self._sums(pod, at)]
        elif query.startswith(COUNTER):  # as operators asked that are upgraded
            samples = [sample for pod in self._models.serve() for sample in self._counters(pod, at)]
        elif query.startswith(f"{EVENTS}{{"):
            samples = [sample for pod in self._models.serve() for sample in self._events(pod, at)]
        elif query.startswith(f"max({LIMITED}{{"):
            samples = [{"metric": {}, "value": [at, str(self.limited)]}]
        elif query.startswith("timestamp(up{"):
            samples = [self._sample(pod, at, f"{at:.3f}") for pod in self._models.pods()]
        elif query == "vector(1)" or query.startswith("count(up{"):
            samples = [{"metric": {}, "value": [at, "1"]}]
        elif query.startswith("sum by (") and (MISSPELT in query or "pointsman_inspector_info" in query):
            samples = []  # inspectors are no processes here
        else:
            raise AssertionError(f"the table has no answer to {query}")
        return _vector(samples) if self._fault is None else self._fault(samples)

    def answer_range(self, begin: float, end: float, step: float) -> bytes:
        """The body for a range query: an hour in which every pod served a hundred requests an interval, and one in 200 failed."""
        self._hang.wait()
        times = [begin + step * number for number in range(round((end - begin) / step) + 1)]
        series = []
        for pod in self._models.pods():
            target = self._sample(pod, end, "")["metric"] | {"revision": pod.revision}
            for part, each in (({}, 1.0), ({PART: FAILED}, 1 / 200)):
                values = [[at, str(int(100 * each * number))] for number, at in enumerate(times)]
                series.append({"metric": target | part, "values": values})
        return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}}).encode()

    def _sums(self, pod: Pod, at: float) -> Iterator[Answer]:
        yield self._sample(pod, at, str(pod.requests))
        yield self._sample(pod, at, str(pod.failed), **{PART: FAILED})
        yield self._sample(pod, at, str(_STARTED), **{PART: STARTED})

    def _counters(self, pod: Pod, at: float) -> Iterator[Answer]:
        yield self._sample(pod, at, str(pod.requests - pod.failed), __name__=COUNTER, code="200")
        yield self._sample(pod, at, str(pod.failed), __name__=COUNTER, code="500")
        yield self._sample(pod, at, str(pod.failed), __name__=COUNTER, code="500", **{PART: FAILED})
        yield self._sample(pod, at, str(_STARTED), **{PART: STARTED})

    def _events(self, pod: Pod, at: float) -> Iterator[Answer]:
        own = {"namespace": self._namespace, "revision": pod.revision, "job": "shop", "instance": pod.name}
        for part, value in (({}, pod.requests), ({PART: FAILED}, pod.failed), ({PART: SCRAPED}, at)):
            yield {"metric": own | part, "value": [at, str(value)]}

    def _sample(self, pod: Pod, at: float, value: str, **labels: str) -> Answer:
        target = {
            "namespace": self._namespace,
            "pod": pod.name,
            "pointsman_dev_revision": pod.revision,
            "job": "models",
            "instance": pod.name,
        }
        return {"metric": target | labels, "value": [at, value]}

    def _up(self) -> None:
        prometheus = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                if self.path.endswith("/query_range"):
                    body = prometheus.answer_range(*(float(form[name][0]) for name in ("start", "end", "step")))
                else:
                    body = prometheus.answer(form["query"][0], float(form["time"][0]))
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:  # asked for by somebody who did not want to wait
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="prometheus").start()


def _counts(sample: Answer) -> bool:
    """Whether it is a count, and no time."""
    return float(sample["value"][1]) < _STARTED


def _vector(samples: Samples) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": samples}}).encode()
