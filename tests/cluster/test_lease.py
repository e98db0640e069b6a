from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pointsman.cluster.answers import Missing
from pointsman.cluster.kinds import Kind
from pointsman.cluster.lease import Leadership, LeaseLost, Terms
from pointsman.controller.settings import own_identity
from pointsman.errors import Conflict, Terminal, Unavailable

TERMS = Terms(duration=15, deadline=10, retry=0.001)


class Api:
    """One Lease, guarded by its resourceVersion like the API server's; `down` answers nothing."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.down = False
        self.swallow = False  # the next write lands, and its answer is lost
        self.landed: asyncio.Event | None = None  # the next write lands, and its answer never comes

    async def get(self, _kind: Kind, _namespace: str, name: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self.down:
            raise Unavailable("down")
        if self.lease is None:
            raise Missing(name)
        return self.lease

    async def post(self, body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self.lease is not None:
            raise Conflict("exists")
        return await self._answered(self._store(body))

    async def put(self, body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self.down:
            raise Unavailable("down")
        if self.lease is None or body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict("modified")
        return await self._answered(self._store(body))

    async def _answered(self, stored: dict[str, Any]) -> dict[str, Any]:
        if self.swallow:
            self.swallow = False
            raise Unavailable("no answer")
        if self.landed is not None:
            landed, self.landed = self.landed, None
            landed.set()
            await asyncio.Event().wait()
        return stored

    def _store(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return self.lease

    @property
    def holder(self) -> str:
        return "" if self.lease is None else self.lease["spec"]["holderIdentity"]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def contender(api: Api, identity: str, clock: Clock) -> Leadership:
    return Leadership(
        api,  # type: ignore[arg-type]
        namespace="default",
        name="pointsman",
        identity=identity,
        terms=TERMS,
        clock=clock,
    )


async def test_one_of_two_wins() -> None:
    api, clock = Api(), Clock()
    tries = await asyncio.gather(contender(api, "a", clock)._try(), contender(api, "b", clock)._try())
    assert sorted(tries) == [False, True]
    assert api.holder in ("a", "b")


async def test_a_lease_that_is_renewed_is_not_taken_and_one_that_is_not_is() -> None:
    api, clock = Api(), Clock()
    first, second = contender(api, "a", clock), contender(api, "b", clock)
    assert await first._try()
    for _ in range(5):
        clock.now += 9
        await first._renew()
        assert not await second._try()
    clock.now += 14
    assert not await second._try()
    clock.now += 2
    assert await second._try()
    assert api.holder == "b"
    with pytest.raises(LeaseLost):
        await first._renew()
    assert api.holder == "b"


async def test_a_lease_that_somebody_took_by_hand_is_lost() -> None:
    api, clock = Api(), Clock()
    first = contender(api, "a", clock)
    assert await first._try()
    assert api.lease is not None
    api._store({**api.lease, "spec": {**api.lease["spec"], "holderIdentity": "b"}})
    with pytest.raises(LeaseLost, match="taken by b"):
        await first._renew()


async def test_expiry_is_measured_by_our_own_clock_from_when_we_saw_it() -> None:
    api, clock = Api(), Clock()
    assert await contender(api, "a", clock)._try()
    clock.now += 1000
    late = contender(api, "b", clock)
    assert not await late._try()  # seen for the first time: it may have been renewed a moment ago
    clock.now += 16
    assert await late._try()


async def test_a_released_lease_is_free_at_once() -> None:
    api, clock = Api(), Clock()
    first = contender(api, "a", clock)
    assert await first._try()
    await first.release()
    assert await contender(api, "b", clock)._try()


async def test_release_of_a_lease_that_is_not_ours_leaves_it() -> None:
    api, clock = Api(), Clock()
    assert await contender(api, "a", clock)._try()
    waiting = contender(api, "b", clock)
    await waiting._try()
    await waiting.release()
    assert api.holder == "a"


async def test_a_renewal_whose_answer_was_lost_is_no_loss() -> None:
    api, clock = Api(), Clock()
    first = contender(api, "a", clock)
    assert await first._try()
    api.swallow = True
    await first._renew()
    assert api.holder == "a"


@pytest.mark.parametrize("before", ["nobody's", "given back"])
async def test_a_lease_that_was_taken_without_an_answer_is_ours_at_once(before: str) -> None:
    api, clock = Api(), Clock()
    if before == "given back":
        other = contender(api, "b", clock)
        await other.acquire()
        await other.release()
    api.swallow = True
    leader = contender(api, "a", clock)
    async with asyncio.timeout(5):
        await leader.acquire()
    leader.check()
    assert api.holder == "a"


async def test_without_an_api_server_the_lease_is_lost_before_others_may_take_it() -> None:
    api, clock = Api(), Clock()
    first = contender(api, "a", clock)
    assert await first._try()
    api.down = True

    async def pass_time() -> None:
        while clock.now < TERMS.duration:
            clock.now += 1
            await asyncio.sleep(2 * TERMS.retry)

    passing = asyncio.create_task(pass_time())
    with pytest.raises(LeaseLost, match="could not be renewed"):
        await first._renew()
    assert clock.now < TERMS.duration
    await passing


async def test_a_deleted_lease_is_lost() -> None:
    api, clock = Api(), Clock()
    first = contender(api, "a", clock)
    assert await first._try()
    api.lease = None
    with pytest.raises(LeaseLost, match="deleted"):
        await first._renew()


async def test_who_does_not_lead_or_stood_still_may_not_write() -> None:
    api, clock = Api(), Clock()
    first = contender(api, "a", clock)
    with pytest.raises(LeaseLost, match="not ours"):
        first.check()
    assert await first._try()
    clock.now += 9.9
    first.check()
    clock.now += 0.1
    with pytest.raises(LeaseLost, match="was not renewed for 10 s"):
        first.check()


async def test_who_stood_still_does_not_even_try_to_renew() -> None:
    api, clock = Api(), Clock()
    first = contender(api, "a", clock)
    assert await first._try()
    clock.now += 10
    with pytest.raises(LeaseLost, match="this process stood still"):
        await first._renew()
    assert api.version == 1


async def test_after_a_release_nothing_may_be_written() -> None:
    api, clock = Api(), Clock()
    first = contender(api, "a", clock)
    assert await first._try()
    await first.release()
    with pytest.raises(LeaseLost, match="not ours"):
        first.check()


@pytest.mark.parametrize("what", ["_try", "_renew"])
async def test_a_lease_is_given_back_though_a_write_was_interrupted(what: str) -> None:
    api, clock = Api(), Clock()
    first = contender(api, "a", clock)
    if what == "_renew":
        assert await first._try()
    landed = api.landed = asyncio.Event()
    interrupted = asyncio.create_task(getattr(first, what)())
    await landed.wait()
    interrupted.cancel()
    await asyncio.wait([interrupted])
    assert api.holder == "a"
    await first.release()
    assert api.holder == ""


@pytest.mark.parametrize(
    ("duration", "deadline", "retry", "says"),
    [
        (15, 15, 2, "--renew-deadline 15: write less than --lease-duration (15)"),
        (15, 6, 2, "--retry-period 2: write more than 0 and at most 1"),
        (15, 10, 0, "--retry-period 0: write more than 0 and at most 5"),
    ],
)
def test_terms_that_do_not_fit_together(duration: int, deadline: float, retry: float, says: str) -> None:
    with pytest.raises(Terminal) as told:
        Terms(duration=duration, deadline=deadline, retry=retry)
    assert str(told.value).startswith(says)


async def test_who_is_started_again_in_the_same_pod_leads_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "pointsman-0")
    api, clock = Api(), Clock()
    await contender(api, own_identity(), clock).acquire()  # and is killed
    again = contender(api, own_identity(), clock)
    async with asyncio.timeout(5):
        await again.acquire()
    again.check()


def test_outside_of_a_pod_no_two_processes_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POD_NAME", raising=False)
    assert own_identity() != own_identity()
