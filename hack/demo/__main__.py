"""`make demo`: the main job on a real cluster, from the first version to an abort, in about ten minutes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from hack.cluster.console import say
from hack.cluster.problem import SetupError
from hack.demo import load, models, report, stage, view
from hack.demo.chapters import STORY, Chapter
from hack.demo.place import Place, find
from hack.demo.play import Disappointed, Play
from hack.demo.report import Row
from hack.demo.stage import Stage

REPORT = Path("demo-report.json")
RATE = 100.0  # requests a second: what two cores carry beside a cluster


async def perform(place: Place, console: Console) -> list[str]:
    """Play the whole story.

    Returns:
        What went otherwise than it should; one sentence each.
    """
    trained = models.train()
    for model in trained:
        accuracy = "cannot be loaded" if model.accuracy is None else f"{model.accuracy:.1%} right"
        say(f"  {model.version}: {model.words} ({accuracy}, {len(model.file) / 1000:.0f} kB)")
    scene = await Stage.open(place.kubeconfig)
    try:
        await _set(scene, place, trained)
        async with load.client() as client:
            users = load.Generator(
                client, url=f"{place.gateway}{stage.INFERENCE}", host=stage.HOST, bodies=models.requests(), rate=RATE
            )
            rows, faults = await _play(Play(scene, users, view.view(console)))
        played = [stage.policy(chapter.policy) for chapter in STORY[: len(rows)]]
        report.write(REPORT, rows, policies=played, rate=RATE)
        console.print(report.table(rows, STORY))
        _tell(console, users)
        if not place.keep:
            await scene.clear()
    finally:
        await scene.close()
    return faults


def _tell(console: Console, users: load.Generator) -> None:
    """The circumstances of the rows."""
    failures = ", ".join(f"{count} x {what}" for what, count in users.failures.most_common()) or "none"
    console.print(
        *(f"\n{name}: {json.dumps(stage.policy(name))}" for name in dict.fromkeys(it.policy for it in STORY)),
        f"{RATE:g} requests a second, {users.traffic.answered} in total; failed: {failures}. All of it is in {REPORT}.",
        sep="\n",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


async def _set(scene: Stage, place: Place, trained: list[models.Model]) -> None:
    say("  removing what an earlier demo may have left, then installing the operator by Helm")
    await scene.define()
    await scene.clear()
    await scene.install(place.values)
    say("  publishing the model files on a web server in the cluster")
    await scene.publish(trained, image=place.python)
    await scene.apply_reference(models.reference())
    await scene.apply_policy()


async def _play(play: Play) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    faults: list[str] = []
    try:
        for chapter in STORY:
            row = await _chapter(play, chapter)
            play.view.say(f"{chapter.version}: {row.outcome} {row.gate} after {row.seconds:.1f} s. {row.message}")
            rows.append(row)
            faults += report.faults(chapter, row)
    except (Disappointed, SetupError) as problem:
        faults.append(str(problem))
    finally:
        play.view.close()
        await play.close()
    return rows, faults


async def _chapter(play: Play, chapter: Chapter) -> Row:
    if chapter.outcome == "Serving":
        return await play.first(chapter)
    if chapter.outcome == "Aborted":
        return await play.abort(chapter)
    if chapter.drifts:
        await play.drift(chapter, models.rescanned())
    return await play.rollout(chapter)


def main() -> int:
    """Run the demo; 0 where everything ended as it should, 1 where not, 2 where it could not run."""
    keep = os.environ.get("KEEP", "") not in ("", "0")
    console = Console()
    begun = time.monotonic()
    try:
        with find(os.environ.get("CLUSTER", "local"), keep=keep) as place:
            faults = asyncio.run(perform(place, console))
            if keep:
                say(place.around)
    except SetupError as problem:
        say(str(problem))
        return 2
    except KeyboardInterrupt:
        say("Stopped. What was started is still there: `make cluster-down` takes it away.")
        return 130
    for fault in faults:
        say(f"NOT AS IT SHOULD BE: {fault}")
    say(f"The demo took {time.monotonic() - begun:.0f} s." + ("" if faults else " Every version ended as it should."))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
