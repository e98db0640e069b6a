"""Two operators and one lease: leaders are killed, stand still for too long, and are asked to end; rollouts go on and end well."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.lab.recorder import Request
from tests.controller.operators import until
from tests.faults.kills.duel import Contender, Duel, Held, duel, now
from tests.faults.kills.ending import differences, ending
from tests.faults.kills.plays import Play, bury, play
from tests.faults.kills.stage import stage, surroundings
from tests.faults.kills.stories import STORIES, Story
from tests.sizes import FULL

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

pytestmark = pytest.mark.bare

SHORT = ("--lease-duration=8", "--renew-deadline=7", "--retry-period=0.3")
LONG = ("--lease-duration=600", "--renew-deadline=300", "--retry-period=0.3")  # nobody would live to see it expire
STAGES = 5 if FULL else 3
KILLS = 50 if FULL else 3
PAUSES = 20 if FULL else 3
STOPS = 10 if FULL else 3
SEED = 7
_DEEPEST = 26  # every story has so many writes
_PATIENCE = 60.0

Tell = Callable[[str], None]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    def told(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}")
            sys.stdout.flush()

    return told


@asynccontextmanager
async def duels(cluster: Cluster, folder: Path, *options: str) -> AsyncIterator[list[Duel]]:
    """On as many stages, all at the same time."""
    async with surroundings(cluster.kubeconfig, STAGES) as around, AsyncExitStack() as stack:
        stages = [await stack.enter_async_context(stage(around, namespace)) for namespace in around.namespaces]
        yield [await stack.enter_async_context(duel(one, folder, *options)) for one in stages]


def tales() -> Iterator[tuple[Story, str]]:
    """Stories and names for their models, for ever."""
    for number in itertools.count():
        yield STORIES[number % len(STORIES)], f"tale-{number}"


async def test_leaders_are_killed_and_every_rollout_goes_on(crds: Cluster, tmp_path: Path, tell: Tell) -> None:
    draw, stories, killed, wrong = random.Random(SEED), tales(), itertools.count(1), []  # noqa: S311  seeded

    async def fight(on: Duel) -> None:
        keeping = [asyncio.create_task(one.keep()) for one in on.contenders]
        kills = 0
        while kills < KILLS // STAGES:
            story, model = next(stories)
            playing = asyncio.create_task(play(on.stage, story, model))
            while kills < KILLS // STAGES and await killed_one(on, playing):
                kills += 1
                tell(f"kill {next(killed)}: {story.name}")
            played = await playing
            tell(f"{story.name:12} {played}")
            wrong.extend(played.wrong)
            await bury(on.stage, model)
        for task in keeping:
            task.cancel()

    async def killed_one(on: Duel, playing: asyncio.Task[Play]) -> bool:
        """Kill the leader at one of its writes; False where the story was over before."""
        while not playing.done():
            leader = await on.leader()
            held = draw.choice(list(Held))
            if await on.springs(leader, draw.randint(1, _DEEPEST), held, playing):
                leader.send(signal.SIGKILL)
                await leader.running.process.wait()
                return True
        return False

    async with duels(crds, tmp_path, *SHORT) as all_:
        await asyncio.gather(*map(fight, all_))
        crashes = [line for one in all_ for running in one.stage.operators for line in running.crashes()]
    tell(f"{next(killed) - 1} leaders killed\n")
    assert (wrong, crashes) == ([], [])


async def test_a_leader_that_wakes_up_late_changes_nothing(crds: Cluster, tmp_path: Path, tell: Tell) -> None:
    draw, stories, wrong = random.Random(SEED), tales(), []  # noqa: S311  seeded, not secret
    jobs = [(draw.randint(1, _DEEPEST), held) for _, held in zip(range(PAUSES), itertools.cycle(Held), strict=False)]

    async def pause(on: Duel) -> None:
        while jobs:
            number, held = jobs.pop()
            (story, model), leader = next(stories), await on.leader()
            keeping = asyncio.create_task(on.other(leader).keep())
            playing = asyncio.create_task(play(on.stage, story, model))
            if await on.springs(leader, number, held, playing):
                said, found = await _paused(on, leader, model, playing)
                tell(f"{story.name:12} {number:2}, {held.value}: {said}; {'; '.join(found) or 'as it should be'}")
                wrong.extend(found)
            else:
                await playing
                jobs.append((number, held))
            keeping.cancel()
            await bury(on.stage, model)
            if leader.running.process.returncode is not None:
                await leader.start()

    async with duels(crds, tmp_path, *SHORT) as all_:
        await asyncio.gather(*map(pause, all_))
        crashes = [line for one in all_ for running in one.stage.operators for line in running.crashes()]
    tell("")
    assert (wrong, crashes) == ([], [])


async def _paused(on: Duel, leader: Contender, model: str, playing: asyncio.Task[Play]) -> tuple[str, list[str]]:
    """Stop the leader at a write, let the other one bring the story to its end, and wake it up; what came of the write, what is wrong."""
    leader.send(signal.SIGSTOP)
    await until(lambda: on.other(leader).leads, _PATIENCE)
    led = now()
    played = await playing
    write = await leader.trap.let_go()
    await on.stage.quiet(1.0)
    before = ending(on.stage, model)
    leader.send(signal.SIGCONT)
    status = await leader.ended()
    await on.stage.quiet(1.0)
    wrong = [*played.wrong, *differences(before, ending(on.stage, model)), *differences(played.ending, before)]
    wrong += [f"it asked to {one.method} {one.path}, {one.status}" for one in leader.wrote(led)]
    wrong += [] if status == 1 else [f"it ended with {status}"]
    return f"{write.method} {write.resource}, {write.status}", wrong


async def test_a_leader_that_is_asked_to_end_finishes_its_write_and_hands_over(
    crds: Cluster, tmp_path: Path, tell: Tell
) -> None:
    draw, stories, wrong = random.Random(SEED), tales(), []  # noqa: S311  seeded, not secret
    jobs = [draw.randint(1, _DEEPEST) for _ in range(STOPS)]

    async def stop(on: Duel) -> None:
        while jobs:
            (story, model), leader, number = next(stories), await on.leader(), jobs.pop()
            playing = asyncio.create_task(play(on.stage, story, model))
            assert await on.springs(leader, number, Held.BEFORE, playing)
            said, found = await _stopped(on, leader, playing)
            tell(f"{story.name:12} {number:2}: {said}; {'; '.join(found) or 'as it should be'}")
            wrong.extend(found)
            await bury(on.stage, model)
            await leader.start()

    async with duels(crds, tmp_path, *LONG) as all_:
        await asyncio.gather(*map(stop, all_))
        crashes = [line for one in all_ for running in one.stage.operators for line in running.crashes()]
    tell("")
    assert (wrong, crashes) == ([], [])


async def _stopped(on: Duel, leader: Contender, playing: asyncio.Task[Play]) -> tuple[str, list[str]]:
    """Ask the leader to end while a write of it is held; what came of the write, what is wrong."""
    asked = now()
    leader.send(signal.SIGTERM)
    write = await leader.trap.let_go()
    status = await leader.ended()
    await until(lambda: on.other(leader).leads, _PATIENCE)  # far less than the lease's duration: it was given back
    played = await playing
    given = [one.at for one in leader.recorder.requests if one.at > asked and _gives_back(one)]
    wrong = list(played.wrong)
    wrong += [] if status == 0 else [f"it ended with {status}"]
    wrong += [] if write.status < 400 else [f"the write in hand was answered with {write.status}"]
    wrong += [] if len(given) == 1 else [f"it gave the lease back {len(given)} times"]
    wrong += [f"it wrote {one.path} without the lease" for one in leader.wrote(max(given, default=asked))]
    return f"{write.method} {write.resource}, {write.status}", wrong


def _gives_back(request: Request) -> bool:
    return request.resource == "leases" and request.writes and not json.loads(request.body)["spec"]["holderIdentity"]
