"""A story played once: what happened on the way, how it ended, and what is wrong about it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from bench.lab import gateway
from bench.lab.api import Json
from tests.controller.operators import until
from tests.faults.kills.ending import differences, ending, miscounted
from tests.faults.kills.stage import Stage
from tests.faults.kills.stories import Story, of

_REST = 120.0  # seconds that a story may take to come to rest
_QUIET = 1.0  # seconds without a change at the end of a story
_NEWS = 6.0  # the same where nothing else says that it is over: counts of ready pods are written every 5 s


@dataclass(kw_only=True)
class Play:
    """How a story went; nothing is `wrong` where it went as it should."""

    seconds: float
    ending: Json
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.seconds:5.1f} s  {'; '.join(self.wrong) or 'ended well'}"


class _Watcher:
    """What happens to a model on the way, whatever its end: what is made twice, and what is given back after a decision."""

    def __init__(self, stage: Stage, model: str) -> None:
        self._model = model
        self._made: Counter[str] = Counter()
        self._decided: set[str] = set()
        self._given_back: list[str] = []
        stage.mirrors["Deployment"].listen(self._workload)
        stage.mirrors["HTTPRoute"].listen(self._route)

    def wrong(self) -> Iterator[str]:
        """A Deployment that was made again loads its model again; a decision once on the route is not undone."""
        yield from (f"{name} was made {times} times" for name, times in self._made.items() if times > 1)
        yield from self._given_back

    def _workload(self, type_: str, obj: Json) -> None:
        if type_ == "ADDED" and obj["metadata"]["name"].startswith(f"{self._model}-"):
            self._made[obj["metadata"]["name"]] += 1

    def _route(self, _type: str, obj: Json) -> None:
        if obj["metadata"]["name"] != self._model:
            return
        decided = (obj["metadata"].get("annotations") or {}).get("pointsman.dev/decided")
        if decided:
            self._decided.add(decided.partition("/")[0])
        weights = gateway.weights(obj)
        ended = [name for name in self._decided if weights.get(name)]
        self._given_back += [f"{name} has {weights[name]} % after its end was decided" for name in ended]


async def play(stage: Stage, story: Story, model: str, *, reference: Json | None = None) -> Play:
    """Play a story once; `reference` is how it has to end. What is left of it stays: see `bury`."""
    watcher, wrong, begun = _Watcher(stage, model), [], time.perf_counter()
    try:
        await story.play(stage, model)
        await rest(stage, model, reference)
    except TimeoutError as late:
        status = stage.seen("ModelDeployment").get(model, {}).get("status", {})
        wrong.append(f"{late}: {status.get('rollout')}; {[one.last_words() for one in stage.operators[-2:]]}")
    played = Play(seconds=time.perf_counter() - begun, ending=ending(stage, model), wrong=wrong)
    wrong += [*watcher.wrong(), *miscounted(stage, model), *_untold(stage, story, model)]
    if reference is not None:
        wrong += differences(reference, played.ending)
    return played


async def bury(stage: Stage, model: str) -> None:
    """Delete what a story has left."""
    await stage.api.delete("ModelDeployment", stage.namespace, model)


async def rest(stage: Stage, model: str, reference: Json | None) -> None:
    """Wait until the end is the one that is known, or else no write comes any more; and a moment longer: it must stay so."""
    if reference is None:
        await stage.quiet(_NEWS)
        return
    with suppress(TimeoutError):
        await until(lambda: ending(stage, model) == reference, _REST)
    await stage.quiet(_QUIET)


def _untold(stage: Stage, story: Story, model: str) -> Iterator[str]:
    """A history that is not the story's."""
    status = of(stage.seen("ModelDeployment"), model)[0].get("status", {})
    history = tuple((one["version"], one["outcome"]) for one in reversed(status.get("history", [])))
    if history != story.outcomes:
        yield f"its history is {history}"
