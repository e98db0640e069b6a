"""The play applies, waits for an end, counts what the version got, and says what it waited for in vain. The cluster is a script."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx
import pytest

from hack.demo import play
from hack.demo.chapters import Chapter
from hack.demo.load import Generator, Traffic
from hack.demo.play import Disappointed, Play
from hack.demo.stage import Stage
from hack.demo.view import Plain

STABLE = {"version": "v1", "revision": "cells-1", "replicas": 2, "readyReplicas": 2}
CANDIDATE = {"version": "v2", "revision": "cells-2", "replicas": 1, "readyReplicas": 1}
CANARY = {"attempt": 1, "phase": "Canary", "percent": 5}
BLIND = [{"type": "Observed", "status": "False", "message": "Prometheus does not answer"}]
SLOW = Chapter("v2", "slow", "RolledBack", gate="latency", patience=5)
ABORTED = Chapter("v2", "aborted", "Aborted", patience=5)


def status(**fields: Any) -> dict[str, Any]:
    return {"status": {"stable": STABLE, **fields}}


def ended(outcome: str, **fields: str) -> dict[str, Any]:
    return status(history=[{"version": "v2", "outcome": outcome, "reason": "R", "message": "why", **fields}])


TRIED = status(candidate=CANDIDATE, rollout=CANARY)


@dataclass
class Script:
    """A cluster that answers each look with the next line, and the last one for ever."""

    looks: list[dict[str, Any]]
    counts: list[dict[str, int]] = field(default_factory=lambda: [{}])
    done: list[str] = field(default_factory=list)

    async def deployment(self) -> dict[str, Any]:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    async def revision(self, _name: str) -> dict[str, Any]:
        return {}

    async def gateway_requests(self) -> dict[str, int]:
        return self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]

    async def apply_version(self, version: str, policy: str) -> None:
        self.done.append(f"apply {version} by {policy}")

    async def annotate(self, key: str, value: str) -> None:
        self.done.append(f"{key}={value}")

    async def stop_prometheus(self) -> None:
        self.done.append("stop")

    async def start_prometheus(self) -> None:
        self.done.append("start")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "LOOK", 0)
    monkeypatch.setattr(play, "COUNT", -1)


def playing(script: Script) -> Play:
    users = Generator(cast("Any", None), url="", host="", bodies=[b""], rate=1)
    users.traffic = Traffic(answered=100, failed=3)
    return Play(cast("Stage", script), users, Plain(lambda _text: None))


async def test_a_version_that_is_taken_back_with_what_it_got() -> None:
    counts = [{"cells-2": 10}, {"cells-2": 40}, {}]  # at the end the gateway has forgotten it
    script = Script([TRIED, TRIED, ended("RolledBack", gate="latency")], counts)
    row = await playing(script).rollout(SLOW)
    assert script.done == ["apply v2 by demo"]
    assert (row.outcome, row.gate, row.reason, row.message) == ("RolledBack", "latency", "R", "why")
    assert (row.candidate_requests, row.failed_requests) == (40, 0)  # the 3 failed before its time
    assert [it.shares for it in row.course] == [(5, 0), (0, 0)]


async def test_a_version_without_an_end_is_a_sentence() -> None:
    waiting = status(candidate=CANDIDATE, rollout=CANARY | {"message": "waiting for proof"})
    with pytest.raises(Disappointed) as caught:
        await playing(Script([waiting])).rollout(replace(SLOW, patience=0))
    assert str(caught.value) == (
        "v2 should have ended as RolledBack by the gate latency and had not after 0 s; the operator says: waiting for proof"
    )


async def test_the_world_changes_until_the_operator_says_so() -> None:
    drifted = [{"type": "Drifted", "status": "True", "message": "the inputs drifted: /inputs/0/data/1"}]
    here = playing(Script([status(), status(), status(conditions=drifted)]))
    await here.drift(replace(SLOW, drifts="/inputs/0/data/1"), [b"other"])
    assert here.drifted == "the inputs drifted: /inputs/0/data/1"
    assert list(here.users._bodies) == [b"other"]
    with pytest.raises(Disappointed):
        await here.drift(replace(SLOW, drifts="/inputs/0/data/2", patience=0), [b"other"])


async def test_an_abort_comes_when_the_version_has_served_and_the_operator_is_blind() -> None:
    blind = status(candidate=CANDIDATE, rollout=CANARY, conditions=BLIND)
    script = Script([TRIED, TRIED, TRIED, blind, ended("Aborted")], [{"cells-2": 1}, {"cells-2": 49}, {"cells-2": 50}])
    row = await playing(script).abort(ABORTED)
    assert script.done == ["apply v2 by demo", "stop", "pointsman.dev/abort=cells-2/1", "start"]
    assert (row.outcome, row.candidate_requests) == ("Aborted", 50)


async def test_prometheus_comes_back_whatever_happens() -> None:
    script = Script([TRIED, ended("RolledBack", gate="errors")], [{"cells-2": 50}])
    with pytest.raises(Disappointed, match="there is nothing to abort"):
        await playing(script).abort(ABORTED)
    assert script.done == ["apply v2 by demo", "stop", "start"]


async def test_an_api_server_that_does_not_answer_is_a_sentence() -> None:
    class Silent(Script):
        async def deployment(self) -> dict[str, Any]:
            raise httpx.ConnectTimeout("")

    with pytest.raises(Disappointed, match="the API server does not answer: ConnectTimeout"):
        await playing(Silent([])).rollout(SLOW)
