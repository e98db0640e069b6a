"""`kill -9` of the operator after every single write of four stories, against the real API server: each ends as without a kill."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.lab.api import ApiError
from bench.lab.recorder import Recorder, Request, recording
from tests.faults.kills.guillotine import Guillotine, Moment, Point
from tests.faults.kills.plays import Play, bury, play
from tests.faults.kills.stage import Stage, stage, surroundings
from tests.faults.kills.stories import STORIES, Story
from tests.sizes import FULL

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

pytestmark = pytest.mark.bare

STAGES = 6
KILLS = 20  # of `make test`
AT_LEAST = 200 if FULL else KILLS
SEED = 5
_LEASE = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/pointsman"


@dataclass(frozen=True, kw_only=True)
class Scaffold:
    """A stage whose operator can be killed at any write, and is replaced then."""

    stage: Stage
    recorder: Recorder
    guillotine: Guillotine

    async def start(self) -> None:
        """Start an operator; what led before is dead: its lease, which would be valid for a while, is taken away."""
        with suppress(ApiError):  # it never had one
            await self.stage.api.send("DELETE", _LEASE.format(self.stage.namespace))
        self.guillotine.victim = (await self.stage.start(self.recorder.kubeconfig)).process

    async def keep(self) -> None:
        """Whenever an operator has ended, killed or by itself, start the next one, as a kubelet does."""
        while True:
            await self.stage.operators[-1].process.wait()
            await self.start()


@asynccontextmanager
async def scaffolds(cluster: Cluster, folder: Path) -> AsyncIterator[list[Scaffold]]:
    """Stages on which operators work."""
    async with surroundings(cluster.kubeconfig, STAGES) as around, AsyncExitStack() as stack:
        made = []
        for namespace in around.namespaces:
            (folder / namespace).mkdir()
            on, guillotine = await stack.enter_async_context(stage(around, namespace)), Guillotine(namespace)
            recorder = await stack.enter_async_context(
                recording(around.credentials, folder / namespace, namespace, guillotine)
            )
            made.append(Scaffold(stage=on, recorder=recorder, guillotine=guillotine))
            await made[-1].start()
            keeping = asyncio.create_task(made[-1].keep(), name=f"keeping in {namespace}")
            stack.callback(keeping.cancel)
        yield made


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A story without a kill: what all others have to be like."""

    story: Story
    writes: list[Request]
    play: Play


def points(writes: int, wanted: int | None, draw: random.Random) -> list[Point]:
    """After every write, at both moments; so many of them, spread over the story, where not all are wanted."""
    every = [(number, moment) for number in range(1, writes + 1) for moment in Moment][:-1]  # nothing is written after
    if wanted is None:
        return every
    parts = [every[len(every) * part // wanted : len(every) * (part + 1) // wanted] for part in range(wanted)]
    return [draw.choice(part) for part in parts]


async def tell(on: Scaffold, story: Story, model: str) -> Whole:
    """Play a story without a kill."""
    on.guillotine.set(None)
    played = await play(on.stage, story, model)
    await bury(on.stage, model)
    return Whole(story=story, writes=on.guillotine.clear()[0], play=played)


async def kill(on: Scaffold, whole: Whole, point: Point, model: str) -> tuple[str | None, Play]:
    """Play a story with a kill: after what, None where there were not as many writes this time; and how it went."""
    on.guillotine.set(point)
    played = await play(on.stage, whole.story, model, reference=whole.play.ending)
    await bury(on.stage, model)
    writes, killed = on.guillotine.clear()
    return _about(writes[point[0] - 1], model) if killed else None, played


def _about(write: Request, model: str) -> str:
    name = write.path.removesuffix("/status").rpartition("/")[2].replace(model, "model")
    return f"{write.method} {write.resource} {name}"


async def test_killed_after_any_write_every_story_ends_as_without_a_kill(
    crds: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(SEED)  # noqa: S311  seeded, not secret
    names = (f"tale-{number}" for number in itertools.count())
    kills, wrong = [], []

    def told(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}")
            sys.stdout.flush()

    async with scaffolds(crds, tmp_path) as on:
        wholes = await asyncio.gather(*(tell(*pair, next(names)) for pair in zip(on, STORIES, strict=False)))
        for whole in wholes:
            told(f"{whole.story.name:12} {len(whole.writes)} writes, nobody is killed: {whole.play}")
        assert [whole.play.wrong for whole in wholes] == [[]] * len(STORIES)
        jobs = _jobs(wholes, draw)

        async def work(here: Scaffold) -> None:
            while jobs:
                whole, (number, moment) = jobs.pop()
                after, played = await kill(here, whole, (number, moment), next(names))
                if after is None:
                    jobs.append((whole, (number - 2, moment)))
                else:
                    kills.append(after)
                line = f"{whole.story.name:12} {number:3} {after or 'not reached':52} {moment.value:24} {played}"
                wrong.extend([line] if played.wrong else [])
                told(line)

        await asyncio.gather(*map(work, on))
        crashes = [line for one in on for running in one.stage.operators for line in running.crashes()]
    told(f"{len(kills)} kills, {len(wrong)} wrong ends\n")
    assert (wrong, crashes) == ([], [])
    assert len(kills) >= AT_LEAST


def _jobs(wholes: list[Whole], draw: random.Random) -> list[tuple[Whole, Point]]:
    wanted = None if FULL else KILLS // len(wholes)
    jobs = [(whole, point) for whole in wholes for point in points(len(whole.writes), wanted, draw)]
    draw.shuffle(jobs)
    return jobs
