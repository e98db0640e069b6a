"""The inspector between real HTTP servers: mirrored requests go in, counters come out."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pointsman.inspector.process import Serving, Settings
from tests.inspector.models import Model, serving
from tests.inspector.test_assignment import told
from tests.sizes import examples

LIMITS = {"concurrency": 64, "bytes": 2**16, "seconds": 60, "requestsPerSecond": 10_000}
SHORT = LIMITS | {"seconds": 0.5}


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  a counter changes, and nobody tells
            await asyncio.sleep(0.005)


@dataclass
class World:
    """An inspector between two models, and a gateway that mirrors to it."""

    stable: Model
    candidate: Model
    inspector: Serving
    gateway: httpx.AsyncClient

    async def mirrors(self, body: Any, **fields: Any) -> None:
        """Mirror one request; answered at once."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self.gateway.post("/v2/models/churn/infer?x=1%2f2", content=content, **fields)
        assert answer.status_code == 202

    async def handled(self) -> dict[str, int]:
        """What became of the requests, once it is known of all of them."""
        ledger = self.inspector.ledger
        await until(lambda: ledger.in_flight == 0)
        assert ledger.received == ledger.handled.total()
        return {outcome: count for outcome, count in ledger.handled.items() if count}

    async def series(self) -> dict[tuple[str, ...], float]:
        """What Prometheus reads: (name, label values in the order of their names) -> value, without zeros."""
        port = self.inspector.probes_port
        text = (await self.gateway.get(f"http://127.0.0.1:{port}/metrics")).text
        return {
            (sample.name.removeprefix("pointsman_inspector_"), *(sample.labels[key] for key in sorted(sample.labels))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.value
        }  # fmt: skip


@contextlib.asynccontextmanager
async def world(*, grace: float = 0.2, **fields: Any) -> AsyncIterator[World]:
    """Two models, an inspector told these fields, and a gateway."""
    async with serving("stable") as stable, serving("candidate") as candidate:
        arms = {
            "stable": {"revision": "s", "url": stable.url},
            "candidate": {"revision": "c", "url": candidate.url},
        }
        assignment = told(**{"protocol": "Json", "limits": LIMITS} | arms | fields)
        async with (
            Serving(assignment, Settings(port=0, probes_port=0, grace=grace)) as inspector,
            _gateway(inspector) as gateway,
        ):
            yield World(stable, candidate, inspector, gateway)


def _gateway(inspector: Serving) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{inspector.port}", trust_env=False)


async def test_answers_are_compared_and_counted() -> None:
    async with world(slices={"header": "x-tenant"}, features=["/age"]) as here:
        await here.mirrors({"age": 30}, headers={"x-tenant": "acme"})
        await here.mirrors({"age": 40, "candidate": ["says", 2]}, headers={"x-tenant": "acme"})
        await here.mirrors({"age": None, "candidate": ["fails"]}, headers={"x-tenant": "two"})
        assert await here.handled() == {"compared": 2, "failed": 1}
        found = await here.series()
    wanted = {
        ("received_total",): 3,
        ("handled_total", "compared"): 2,
        ("handled_total", "failed"): 1,
        ("sample_ratio",): 1,
        ("replays_total", "ok", "s"): 3,
        ("replays_total", "ok", "c"): 2,
        ("replays_total", "error", "c"): 1,
        ("replay_duration_seconds_count", "s"): 3,
        ("replay_duration_seconds_count", "c"): 2,
        ("comparisons_total", "true", "c", ""): 1,
        ("comparisons_total", "false", "c", ""): 1,
        ("comparisons_total", "true", "c", "acme"): 1,
        ("comparisons_total", "false", "c", "acme"): 1,
        ("slice_replays_total", "c", ""): 3,
        ("slice_replays_total", "c", "acme"): 2,
        ("slice_failures_total", "c", ""): 1,
        ("slice_failures_total", "c", "two"): 1,
        ("features_bucket", "/age", "+Inf"): 2,
        ("features_bucket", "/age", "20.0"): None,
        ("features_bucket", "/age", "50.0"): 2,
        ("features_missing_total", "/age"): 1,
        ("predictions_bucket", "+Inf", "/v", "s"): 2,
        ("predictions_bucket", "1.0", "/v", "c"): 1,
    }
    assert {key: found.get(key) for key in wanted} == wanted


async def test_both_versions_get_what_the_user_sent_each_first_every_other_time() -> None:
    headers = {"host": "churn.example.com-shadow", "authorization": "Bearer secret", "x-tenant": "acme"}
    async with world() as here:
        for number in range(10):
            await here.mirrors({"number": number}, headers=headers)
            await here.handled()
        stable, candidate = here.stable.asked, here.candidate.asked
    for one, other in zip(stable, candidate, strict=True):
        assert (one.target, one.headers, one.body) == (other.target, other.headers, other.body)
        assert one.target == "/v2/models/churn/infer?x=1%2f2"
        assert one.headers["Host"] == "churn.example.com"
        assert one.headers["x-tenant"] == "acme"
        assert "authorization" not in {name.lower() for name in one.headers}
    first = [one.turn < other.turn for one, other in zip(stable, candidate, strict=True)]
    assert first in ([True, False] * 5, [False, True] * 5)


async def test_credentials_go_on_where_they_are_asked_for() -> None:
    async with world(forwardHeaders=["Authorization"]) as here:
        await here.mirrors({}, headers={"authorization": "Bearer secret", "cookie": "a=b"})
        await here.handled()
        names = {name.lower() for name in here.candidate.asked[0].headers}
    assert "authorization" in names
    assert "cookie" not in names


async def test_the_mirror_is_answered_while_the_versions_still_think() -> None:
    async with world() as here:
        await here.mirrors({"stable": ["waits"]})
        assert here.inspector.ledger.in_flight == 1
        here.stable.release.set()
        assert await here.handled() == {"compared": 1}


async def test_whose_reply_is_whose_does_not_depend_on_what_comes_in_between() -> None:
    async with world() as here:
        await asyncio.gather(*(here.mirrors({"number": number, "candidate": ["fails"]}) for number in range(40)))
        assert await here.handled() == {"failed": 40}
        found = await here.series()
    assert (found["replays_total", "ok", "s"], found["replays_total", "error", "c"]) == (40, 40)


@pytest.mark.parametrize(
    ("candidate", "handled", "replayed"),
    [
        (["says", 1], "compared", "ok"),
        (["refuses"], "compared", "refused"),
        (["fails"], "failed", "error"),
        (["fails", 302], "failed", "error"),
        (["fails", 429], "failed", "refused"),
        (["hangs"], "failed", "timeout"),
        (["drips"], "failed", "timeout"),
        (["never ends"], "compared", "too_large"),
        (["bombs"], "compared", "ok"),
        (["breaks off"], "failed", "error"),
        (["babbles"], "failed", "error"),
        (["drops the first"], "compared", "ok"),
    ],
)
async def test_whatever_a_candidate_does(candidate: list[Any], handled: str, replayed: str) -> None:
    async with world(limits=SHORT if replayed == "timeout" else LIMITS) as here:
        await here.mirrors({"candidate": candidate})
        assert await here.handled() == {handled: 1}
        assert (await here.series())["replays_total", replayed, "c"] == 1


async def test_no_redirect_is_followed() -> None:
    async with world() as here:
        await here.mirrors({"candidate": ["fails", 307]})
        await here.handled()
        assert [one.target for one in here.candidate.asked] == ["/v2/models/churn/infer?x=1%2f2"]


async def test_room_is_given_back() -> None:
    room = 8 * 2**20
    async with world(limits=LIMITS | {"bytes": room}) as here:
        for body in ({"pad": "a" * (room - 100)}, bytes(room), {"pad": "b" * (room - 100)}):
            await here.mirrors(body)
            await here.handled()
        assert await here.handled() == {"compared": 2, "unparsed": 1}


async def test_a_candidate_that_nobody_reaches() -> None:
    async with world(candidate={"revision": "c", "url": "http://127.0.0.1:1"}) as here:
        await here.mirrors({})
        assert await here.handled() == {"failed": 1}
        assert (await here.series())["replays_total", "unreachable", "c"] == 1


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(2**14)


@pytest.mark.parametrize(
    ("body", "headers", "handled"),
    [
        (b"", {}, "unparsed"),
        (b"{", {}, "unparsed"),
        (b'{"a": 1, "a": 2}', {}, "unparsed"),
        (b"[" * 30_000, {}, "unparsed"),
        (bytes(2**16 + 1), {}, "too_large"),
        (gzip.compress(bytes(2**20)), {"content-encoding": "gzip"}, "unparsed"),
        (gzip.compress(b"{}"), {"content-encoding": "gzip"}, "compared"),
        (b"{}", {"content-encoding": "br"}, "unparsed"),
        (b'{"a": NaN}', {}, "compared"),
    ],
    ids=["nothing", "half", "twice", "deep", "large", "a bomb", "packed", "packed otherwise", "NaN"],
)
async def test_whatever_a_request_is(body: bytes, headers: dict[str, str], handled: str) -> None:
    async with world() as here:
        await here.mirrors(body, headers=headers)
        assert await here.handled() == {handled: 1}


async def test_a_request_without_an_end_is_too_large_and_the_next_one_is_served() -> None:
    async with world() as here:
        with contextlib.suppress(httpx.TransportError):
            await here.gateway.post("/", content=endless())
        await here.mirrors({})
        assert await here.handled() == {"too_large": 1, "compared": 1}


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_body_that_does_not_come(leaves: bool) -> None:  # noqa: FBT001
    async with world(limits=LIMITS if leaves else SHORT) as here:
        _, writer = await asyncio.open_connection("127.0.0.1", here.inspector.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{")
        await writer.drain()
        await until(lambda: here.inspector.ledger.received == 1)
        if leaves:
            writer.transport.abort()
        assert await here.handled() == {"incomplete": 1}
        writer.transport.abort()


async def test_connections_are_bounded_and_those_that_are_there_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.inspector.process._MOST_CONNECTIONS", 3)
    async with world() as here:
        await here.mirrors({})
        opened = [await asyncio.open_connection("127.0.0.1", here.inspector.port) for _ in range(3)]
        with contextlib.suppress(ConnectionError):
            assert await opened[-1][0].read() == b""
        await here.mirrors({})
        assert await here.handled() == {"compared": 2}
        for _, writer in opened:
            writer.close()


async def test_streams_are_read_to_the_end() -> None:
    async with world(protocol="OpenAI", comparators=[{"kind": "Text", "output": "text"}]) as here:
        await here.mirrors({"stable": ["streams", "Ye", "s."], "candidate": ["streams", "Yes."]})
        await here.mirrors({"stable": ["streams", "Yes."], "candidate": ["streams", "Yes, but"]})
        assert await here.handled() == {"compared": 2}
        found = await here.series()
    assert found["comparisons_total", "true", "c", ""] == found["comparisons_total", "false", "c", ""] == 1


async def test_without_a_candidate_stable_is_watched() -> None:
    async with world(candidate=None, features=["/age"]) as here:
        await here.mirrors({"age": 30})
        assert await here.handled() == {"watched": 1}
        found = await here.series()
        assert here.candidate.asked == []
    assert found["predictions_bucket", "+Inf", "/v", "s"] == found["features_bucket", "/age", "+Inf"] == 1
    assert not any(name == "comparisons_total" for name, *_ in found)


async def test_the_first_requests_only_warm_the_versions() -> None:
    async with world(warmup=2) as here:
        for _ in range(3):
            await here.mirrors({})
        assert await here.handled() == {"warmup": 2, "compared": 1}
        found = await here.series()
        assert len(here.candidate.asked) == 3
    assert found["replays_total", "ok", "c"] == found["replay_duration_seconds_count", "c"] == 1


async def test_ten_thousand_header_values_are_other() -> None:
    async with world(slices={"header": "x-tenant", "max": 2}) as here:
        for number in range(examples(50)):
            await here.mirrors({}, headers={"x-tenant": str(number)})
        await here.handled()
        found = await here.series()
    assert {key[-1] for key in found if key[0] == "comparisons_total"} == {"", "0", "1", "other"}


async def test_what_has_no_room_is_shed_and_the_share_falls() -> None:
    async with world(limits=LIMITS | {"concurrency": 1}) as here:
        for number in range(10):
            await here.mirrors({"stable": ["waits"], "number": number})
        await until(lambda: here.inspector.ledger.share < 1)
        assert len(here.stable.asked) == 1
        here.stable.release.set()
        assert await here.handled() == {"compared": 4, "shed": 6}
        assert 0 < (await here.series())["sample_ratio",] < 1


async def test_so_many_a_second_are_replayed() -> None:
    async with world(limits=LIMITS | {"requestsPerSecond": 0.01}) as here:
        for _ in range(3):
            await here.mirrors({})
        handled = await here.handled()
    assert handled["compared"] == 1
    assert handled.get("shed", 0) + handled.get("sampled_out", 0) == 2


async def test_when_it_stops_what_was_begun_is_finished() -> None:
    async with world(grace=10) as here:
        await here.mirrors({"stable": ["waits"]})
        stopping = asyncio.create_task(here.inspector.__aexit__())
        await until(lambda: here.inspector.stopping)
        ready = await here.gateway.get(f"http://127.0.0.1:{here.inspector.probes_port}/readyz")
        assert ready.status_code == 503
        here.stable.release.set()
        await stopping
        assert await here.handled() == {"compared": 1}
        with pytest.raises(httpx.TransportError):
            await here.mirrors({})


async def test_what_cannot_be_finished_in_time_is_abandoned() -> None:
    async with world(grace=0.01) as here:
        await here.mirrors({"candidate": ["hangs"]})
        await here.mirrors({})
        await until(lambda: here.inspector.ledger.in_flight == 1)
        await here.inspector.__aexit__()
        assert await here.handled() == {"abandoned": 1, "compared": 1}


DEEDS = st.sampled_from(
    [["says", 1], ["says", 2], ["refuses"], ["fails"], ["fails", 429], ["breaks off"], ["babbles"], ["bombs"], ["never ends"], ["hangs"]]
)  # fmt: skip
BODIES = st.fixed_dictionaries({"stable": DEEDS, "candidate": DEEDS}) | st.sampled_from([b"{", b"", bytes(2**17)])


@settings(max_examples=examples(5))
@given(st.lists(BODIES, min_size=1, max_size=12), st.integers(1, 6), st.booleans())
async def test_every_request_that_is_received_has_one_outcome(bodies: list[Any], concurrency: int, stop: bool) -> None:  # noqa: FBT001
    async with world(limits=LIMITS | {"concurrency": concurrency, "seconds": 0.2}) as here:
        answered = await asyncio.gather(*(here.mirrors(body) for body in bodies), return_exceptions=True)
        if stop:
            await here.inspector.__aexit__()
        handled = await here.handled()
        ledger = here.inspector.ledger
    assert ledger.received >= sum(one is None for one in answered)
    assert sum(handled.values()) == ledger.received
    assert "crashed" not in handled
    compared = sum(count for (slice_, _), count in ledger._comparisons.items() if slice_ == "")
    assert compared == handled.get("compared", 0)
