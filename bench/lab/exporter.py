"""A process that exports the counters of any number of pretended pods: healthy, seeded, one path a pod.

python -m bench.lab.exporter --port 9000 --seed 1 --rate 200: /pods/<namespace>/<pod> gives that pod's counters since its first scrape;
PUT /failing/<namespace>/<pod's first letters> makes pods fail every request from now on.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from aiohttp import web

from bench.lab.models import LATENCY, REQUESTS

FAILING = 0.005  # of all requests
EDGES = tuple(round(0.005 * 1.2**power, 6) for power in range(32))  # seconds: 5 ms to 1.4 s
_MEDIAN, _SPREAD = 0.05, 0.6  # of the log-normal latency


def shares() -> np.ndarray:
    """The probability of each bucket, the last one being above all edges."""
    draws = np.random.default_rng(0).lognormal(np.log(_MEDIAN), _SPREAD, 200_000)
    below = np.searchsorted(np.sort(draws), EDGES, side="right") / draws.size
    return np.diff(np.concatenate([[0.0], below, [1.0]]))


_SHARES = shares()


@dataclass(kw_only=True)
class Pod:
    """One pod's counters; they grow by whole seconds, so that the same second gives the same numbers for a seed."""

    started: float
    rate: float
    random: np.random.Generator
    failing: float = FAILING
    seconds: int = 0
    failed: int = 0
    buckets: np.ndarray = field(default_factory=lambda: np.zeros(len(EDGES) + 1, dtype=np.int64))

    def advance(self, now: float) -> None:
        """Serve the requests of the seconds since the last time."""
        for _ in range(int(now - self.started) - self.seconds):
            self.seconds += 1
            counts = self.random.multinomial(self.random.poisson(self.rate), _SHARES)
            self.buckets += counts
            self.failed += int(self.random.binomial(counts.sum(), self.failing))

    def text(self) -> str:
        """Its counters in Prometheus' text format."""
        below = np.cumsum(self.buckets)
        total = int(below[-1])
        lines = [
            f"# TYPE {REQUESTS} counter",
            f'{REQUESTS}{{code="200"}} {total - self.failed}',
            f'{REQUESTS}{{code="500"}} {self.failed}',
            f"# TYPE {LATENCY} histogram",
            *(f'{LATENCY}_bucket{{le="{edge}"}} {count}' for edge, count in zip(EDGES, below, strict=False)),
            f'{LATENCY}_bucket{{le="+Inf"}} {total}',
            f"{LATENCY}_sum {total * _MEDIAN:.3f}",
            f"{LATENCY}_count {total}",
            "# TYPE process_start_time_seconds gauge",
            f"process_start_time_seconds {self.started:.3f}",
        ]
        return "\n".join(lines) + "\n"


class Exporter:
    """All pods that were ever scraped."""

    def __init__(
        self,
        *,
        seed: int,
        rate: float,
        failing: Callable[[str], float] = lambda _: FAILING,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Pods with `rate` requests a second, of which the share `failing` of the pod's name fails."""
        self._seed = seed
        self._rate = rate
        self._failing = failing
        self._clock = clock
        self._pods: dict[str, Pod] = {}

    def fail(self, prefix: str) -> int:
        """Let the pods whose names begin so fail every request from now on; how many there are."""
        found = [pod for name, pod in self._pods.items() if name.startswith(prefix)]
        for pod in found:
            pod.advance(self._clock())
            pod.failing = 1.0
        return len(found)

    def text(self, name: str) -> str:
        """The counters of a pod, by namespace and name; it starts when it is asked for first."""
        now = self._clock()
        if name not in self._pods:
            random = np.random.default_rng([self._seed, zlib.crc32(name.encode())])
            self._pods[name] = Pod(started=now, rate=self._rate, random=random, failing=self._failing(name))
        pod = self._pods[name]
        pod.advance(now)
        return pod.text()


def _main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--rate", type=float, required=True, help="requests a second of every pod")
    given = arguments.parse_args()
    exporter = Exporter(seed=given.seed, rate=given.rate)

    async def pod(request: web.Request) -> web.Response:
        return web.Response(text=exporter.text(request.match_info["name"]), content_type="text/plain")

    async def failing(request: web.Request) -> web.Response:
        return web.json_response(exporter.fail(request.match_info["name"]))

    application = web.Application()
    application.router.add_get("/pods/{name:.+}", pod)
    application.router.add_put("/failing/{name:.+}", failing)
    web.run_app(application, host="127.0.0.1", port=given.port, print=lambda *_: None, access_log=None)


if __name__ == "__main__":
    _main()
