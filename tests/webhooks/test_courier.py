"""The queue of deliveries: at least once, again and again, few at a time, and nobody waits for anybody else's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from pointsman.rollout.plan import Notice
from pointsman.webhooks.courier import Courier, Name
from pointsman.webhooks.sending import Undelivered
from tests.controller.fake import until


def notice(number: int, host: str = "hooks.example.com") -> Notice:
    return Notice(
        id=str(number), webhook=host[:4], url=f"https://{host}/", allow_private=False, event={"id": str(number)}
    )


async def accept(_: Notice) -> None:
    """Takes it."""


@dataclass
class Post:
    """A courier with a clock of its own, and what it says."""

    send: Callable[[Notice], Awaitable[None]] = accept
    now: float = 1000.0
    tried: list[tuple[str, float]] = field(default_factory=list)
    sent: list[tuple[str, Name]] = field(default_factory=list)
    failed: list[tuple[str, Name, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.courier = Courier[str](
            self._send,
            sent=lambda key, name: self.sent.append((key, name)),
            failed=lambda key, name, why: self.failed.append((key, name, why)),
            counted=lambda what: self.counts.update([what]),
            clock=lambda: self.now,
        )
        self.running = asyncio.create_task(self.courier.run())

    async def _send(self, one: Notice) -> None:
        self.tried.append((one.id, self.now))
        await self.send(one)

    async def at(self, now: float) -> None:
        """The clock shows another time."""
        self.now = now
        self.courier._woken.set()
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    made = Post()
    yield made
    made.running.cancel()
    await asyncio.wait([made.running])


async def test_what_is_owed_is_delivered_once_however_often_it_is_said(post: Post) -> None:
    for _ in range(3):
        post.courier.owe("churn", [notice(1), notice(2)])
        await until(lambda: len(post.sent) == 2)
    await post.at(2000)
    assert sorted(one for one, _ in post.tried) == ["1", "2"]
    assert post.sent == [("churn", ("1", "hook")), ("churn", ("2", "hook"))]
    assert (len(post.courier), post.counts) == (0, Counter(sent=2))


async def test_what_failed_is_tried_again_after_longer_and_longer(post: Post) -> None:
    async def refuse(_: Notice) -> None:
        raise Undelivered("it answered 503", after=40.0 if len(post.tried) == 3 else 0.0)

    post.send = refuse
    post.courier.owe("churn", [notice(1)])
    await until(lambda: post.failed)
    delays = []
    for _ in range(12):
        entry = post.courier._owed["churn"]["1", "hook"]
        await post.at(entry.due - 0.01)
        count = len(post.tried)
        await post.at(entry.due)
        assert len(post.tried) == count + 1
        delays.append(round(post.tried[-1][1] - post.tried[-2][1]))
    assert delays == [1, 2, 40, 8, 16, 32, 64, 128, 256, 512, 600, 600]
    assert post.failed[0] == ("churn", ("1", "hook"), "it answered 503")
    post.send = accept
    await post.at(post.now + 600)
    assert post.sent == [("churn", ("1", "hook"))]
    assert post.counts == Counter(failed=13, sent=1)


async def test_a_host_that_hangs_leaves_room_for_the_others(post: Post) -> None:
    hangs = asyncio.Event()

    async def send(one: Notice) -> None:
        if "slow" in one.url:
            await hangs.wait()

    post.send = send
    post.courier.owe("slow", [notice(number, "slow.example.com") for number in range(20)])
    post.courier.owe("churn", [notice(100)])
    await until(lambda: post.sent == [("churn", ("100", "hook"))])
    assert len(post.tried) == 3, "two at a time to one host"
    hangs.set()
    await until(lambda: len(post.sent) == 21)


async def test_no_more_than_eight_at_a_time(post: Post) -> None:
    hangs = asyncio.Event()

    async def send(_: Notice) -> None:
        await hangs.wait()

    post.send = send
    for number in range(20):
        post.courier.owe(f"model-{number}", [notice(number, f"h{number:03}.example.com")])
    await post.at(1001)
    assert len(post.tried) == 8
    hangs.set()
    await until(lambda: len(post.sent) == 20)


async def test_what_is_owed_no_longer_is_not_tried_again(post: Post) -> None:
    async def refuse(_: Notice) -> None:
        raise Undelivered("it answered 503")

    post.send = refuse
    post.courier.owe("churn", [notice(1)])
    await until(lambda: post.failed)
    post.courier.owe("churn", [])
    await post.at(5000)
    assert len(post.tried) == 1
    assert post.counts == Counter(failed=1, dropped=1)


async def test_what_looks_for_a_token_counts_for_nothing(post: Post) -> None:
    post.courier.owe(
        "churn", [Notice(id="token", webhook="hook", url="https://hooks.example.com", allow_private=False)]
    )
    assert len(post.courier) == 0
    await until(lambda: post.sent == [("churn", ("token", "hook"))])
    assert not post.counts


async def test_a_bug_in_one_keeps_nobody_elses(post: Post) -> None:
    async def send(one: Notice) -> None:
        if one.id == "1":
            raise RuntimeError("hush")

    post.send = send
    post.courier.owe("churn", [notice(1), notice(2)])
    await until(lambda: post.sent and post.failed)
    assert post.failed == [("churn", ("1", "hook"), "a fault of the operator (RuntimeError)")]
    assert not post.running.done()
