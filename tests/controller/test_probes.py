from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from pointsman.controller.metrics import Metrics
from pointsman.controller.probes import Probes, Pulse


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_alive_while_every_watch_is_heard_of() -> None:
    clock = Clock()
    pulse = Pulse(limit=180, clock=clock)
    assert pulse.silent() == {}  # a standby watches nothing
    pulse.expect(["/apis/a", "/apis/b"])
    clock.now = 170
    pulse.heard("/apis/a")
    pulse.heard("/apis/unknown")
    clock.now = 190
    assert pulse.silent() == {"/apis/b": 190}
    pulse.heard("/apis/b")
    assert pulse.silent() == {}


async def test_what_is_served() -> None:
    clock, metrics = Clock(), Metrics()
    pulse = Pulse(limit=180, clock=clock)
    probes = Probes(pulse, metrics, port=0)
    await probes.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{probes.port}") as http:
            assert (await http.get("/readyz")).status_code == 503
            pulse.answered(200)
            assert (await http.get("/readyz")).status_code == 200
            assert (await http.get("/healthz")).status_code == 200
            pulse.expect(["/apis/apps/v1/deployments"])
            clock.now = 200
            answer = await http.get("/healthz")
            assert answer.status_code == 503
            assert answer.text == "nothing heard of /apis/apps/v1/deployments for 200 s\n"
            metrics.requested("apply", "HTTPRoute", 200)
            metrics.requested("get", "HTTPRoute", 404)
            metrics.reconciled("crash", 0.1)
            metrics.queue(lambda: 3, lambda: 1.5)
            text = (await http.get("/metrics")).text
            asked = await http.get("/metrics", params={"name[]": ["pointsman_rollouts", "pointsman_queue_length"]})
    finally:
        await probes.stop()
    assert {line.split("{")[0].split()[0] for line in asked.text.splitlines() if not line.startswith("#")} == {
        "pointsman_rollouts",
        "pointsman_queue_length",
    }
    for line in (
        'pointsman_api_writes_total{kind="HTTPRoute",verb="apply"} 1.0',
        'pointsman_api_requests_total{code="404",kind="HTTPRoute",verb="get"} 1.0',
        'pointsman_reconciles_total{result="crash"} 1.0',
        "pointsman_queue_length 3.0",
        "pointsman_last_look_age_seconds NaN",
    ):
        assert line in text.splitlines()
    assert 'pointsman_api_writes_total{kind="HTTPRoute",verb="get"}' not in text


READINESS: dict[str, tuple[Callable[[Pulse, Clock], object], str | None]] = {
    "no answer yet": (lambda _pulse, _clock: None, "the API server has not answered yet"),
    "no answer at all": (lambda pulse, _clock: pulse.answered(0), "the API server has not answered yet"),
    "a standby": (lambda pulse, _clock: pulse.answered(404), None),
    "a leader that has listed nothing": (
        lambda pulse, _clock: (pulse.answered(200), pulse.expect(["/apis/a"])),
        "not everything is listed yet",
    ),
    "a leader": (lambda pulse, _clock: (pulse.answered(200), pulse.expect(["/apis/a"]), pulse.complete()), None),
    "an API server that went away": (
        lambda pulse, clock: (pulse.answered(200), setattr(clock, "now", 61.0)),
        "the API server has not answered for 61 s",
    ),
}


@pytest.mark.parametrize(("happened", "why"), READINESS.values(), ids=READINESS)
def test_ready_is_who_can_do_its_work(happened: Callable[[Pulse, Clock], object], why: str | None) -> None:
    clock = Clock()
    pulse = Pulse(limit=180, clock=clock)
    happened(pulse, clock)
    assert pulse.unready() == why
