"""Four stories of a model: what its owner does, and how each has to end however often the operator dies on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.lab import gateway, models
from bench.lab.api import Json, Objects
from tests.faults.kills.stage import Stage
from tests.faults.kills.users import LABEL

PATIENCE = 300.0  # a busy machine; leaders may be killed again and again meanwhile

Act = Callable[[Stage, str], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Story:
    """`serves` is the version that serves in the end, `outcomes` the ends of all attempts, the first one first."""

    name: str
    act: Act
    serves: int
    outcomes: tuple[tuple[str, str], ...]

    async def play(self, stage: Stage, model: str) -> None:
        """From nothing to the end. Raises TimeoutError."""
        await stage.api.apply(stage.model(model, policy=_policy(self, stage)))
        await _serves(stage, model, 1)
        await self.act(stage, model)
        if self.serves == 1:
            ended = lambda seen: _back(seen[model])  # noqa: E731
            await stage.mirrors["ModelDeployment"].until(ended, what="the rollout is over", seconds=PATIENCE)
        else:
            await _serves(stage, model, self.serves)
        await stage.mirrors["Deployment"].until(
            lambda seen: len(of(seen, model)) == 1, what="one revision runs", seconds=PATIENCE
        )


def of(seen: Objects, model: str) -> list[Json]:
    """Those objects that belong to a model."""
    return [obj for name, obj in sorted(seen.items()) if name == model or name.startswith(f"{model}-")]


def _policy(story: Story, stage: Stage) -> str:
    return stage.around.patient if story.act in (_abort, _supersede) else stage.around.quick


def _back(obj: Json) -> bool:
    status = obj["status"]
    return "rollout" not in status and bool(status.get("history"))


async def _serves(stage: Stage, model: str, version: int) -> None:
    await stage.mirrors["ModelDeployment"].until(
        lambda seen: model in seen and models.serves(seen[model], version),
        what=f"version {version} serves",
        seconds=PATIENCE,
    )


async def _ask(stage: Stage, model: str, patch: Json) -> None:
    await stage.api.merge("ModelDeployment", stage.namespace, model, patch=patch)


async def _promote(stage: Stage, model: str) -> None:
    await _ask(stage, model, models.version(2))


async def _fail(stage: Stage, model: str) -> None:
    failing = {"template": {"metadata": {"labels": {LABEL: "20"}}}}
    await _ask(stage, model, {"spec": {**models.version(2)["spec"], **failing}})


async def _canary(stage: Stage, model: str) -> Json:
    """Version 2 has got traffic."""
    await _ask(stage, model, models.version(2))
    await stage.mirrors["HTTPRoute"].until(
        lambda seen: len([weight for weight in gateway.weights(seen[model]).values() if weight]) == 2,
        what="the candidate has traffic",
        seconds=PATIENCE,
    )
    status: Json = stage.seen("ModelDeployment")[model]["status"]
    return status


async def _abort(stage: Stage, model: str) -> None:
    status = await _canary(stage, model)
    await _ask(stage, model, models.abort(status["candidate"]["revision"], status["rollout"]["attempt"]))


async def _supersede(stage: Stage, model: str) -> None:
    await _canary(stage, model)
    await _ask(stage, model, {"spec": {**models.version(3)["spec"], "rollout": {"policy": stage.around.quick}}})


STORIES = (
    Story(name="promotion", act=_promote, serves=2, outcomes=(("2", "Promoted"),)),
    Story(name="rollback", act=_fail, serves=1, outcomes=(("2", "RolledBack"),)),
    Story(name="abort", act=_abort, serves=1, outcomes=(("2", "Aborted"),)),
    Story(name="supersession", act=_supersede, serves=3, outcomes=(("2", "Superseded"), ("3", "Promoted"))),
)
