from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from pointsman.cli.command import app
from pointsman.cluster.answers import Missing
from pointsman.cluster.client import Page
from pointsman.cluster.kinds import GATEWAY, GATEWAY_CLASS, MODEL_DEPLOYMENT, MODEL_RUNTIME, ROUTE, WATCHED, Kind
from pointsman.cluster.lease import LeaseLost
from pointsman.controller import process
from pointsman.controller.keys import deployment
from pointsman.controller.looks import NoReader
from pointsman.controller.metrics import Metrics
from pointsman.controller.probes import Pulse
from pointsman.controller.settings import Settings
from pointsman.controller.wiring import Operator
from pointsman.errors import Terminal
from pointsman.rollout import decision
from pointsman.signals.reading import Reading
from tests.cluster.objects import model, revision
from tests.controller.fake import FakeApi, until
from tests.controller.test_reconcile import KEY, NOW


class Api(FakeApi):
    """Kinds in `absent` are not installed."""

    absent: tuple[Kind, ...] = ()

    async def list(self, kind: Kind, namespace: str | None = None, *, labels: str | None = None) -> Page:
        if kind in self.absent:
            raise Missing("404 page not found")
        return await super().list(kind, namespace, labels=labels)


def operator(api: FakeApi, **settings: Any) -> Operator:
    return Operator(
        Settings(lease_namespace="ml", **settings),
        client=api,  # type: ignore[arg-type]
        decision=decision,
        reader=NoReader(),
        metrics=Metrics(),
        pulse=Pulse(180),
    )


@pytest.fixture
def api() -> Iterator[Api]:
    return Api(model("churn"), revision("churn-1", "churn"))  # type: ignore[return-value]


async def listed(ready: Operator, api: FakeApi, kinds: Iterable[Kind]) -> None:
    """What Kopf's lists of these kinds answer, in pages of one object, reaches the operator."""
    for kind in kinds:
        items = (await api.list(kind)).items
        pages = [items[at : at + 1] for at in range(len(items))] or [()]
        for number, page in enumerate(pages):
            following = {"continue": "more"} if number + 1 < len(pages) else {}
            meta = {"resourceVersion": str(api.version), **following}
            ready.listed(kind.path(), {"metadata": meta, "items": list(page)}, first=number == 0)


async def test_before_anything_is_decided_everything_is_listed(api: Api) -> None:
    api.store(model("fraud"))
    ready = operator(api)
    await ready.prepare()
    ready._expect(WATCHED)
    *others, last = WATCHED
    await listed(ready, api, others)
    working = asyncio.create_task(ready.workers.run())
    await asyncio.sleep(0)
    assert len(ready.workers) > 0
    assert not api.writes
    await listed(ready, api, [last])
    assert set(ready.cache.names(MODEL_DEPLOYMENT)) == {("ml", "churn"), ("ml", "fraud")}
    await until(lambda: {word.split()[1] for word in api.writes} >= {"ModelDeployment"})
    ready.workers.stop()
    await working


async def test_a_list_that_begins_again_forgets_how_far_it_was(api: Api) -> None:
    """A page that has expired: Kopf starts over, and what was deleted in between is in no page of the new list."""
    ready = operator(api)
    await ready.prepare()
    ready._expect(WATCHED)
    interrupted = {"metadata": {"resourceVersion": "2", "continue": "more"}, "items": [model("gone")]}
    ready.listed(MODEL_DEPLOYMENT.path(), interrupted, first=True)
    assert ("ml", "gone") in ready.cache.names(MODEL_DEPLOYMENT)
    await listed(ready, api, [MODEL_DEPLOYMENT])
    assert ready.cache.names(MODEL_DEPLOYMENT) == (("ml", "churn"),)


async def test_without_the_gateway_api_it_works_and_does_not_watch_it(api: Api) -> None:
    api.absent = (GATEWAY_CLASS, GATEWAY, ROUTE)
    primed = operator(api)
    await primed.prepare()
    assert set(primed._served) == set(WATCHED) - set(api.absent)


async def test_without_its_own_kinds_it_says_what_to_install(api: Api) -> None:
    api.absent = (MODEL_RUNTIME,)
    with pytest.raises(Terminal, match=r"modelruntimes\.pointsman\.dev: install Pointsman's CRDs"):
        await operator(api).prepare()


async def test_events_reach_the_queue_and_echoes_do_not(api: Api) -> None:
    primed = operator(api)
    await primed.prepare()
    primed._expect(WATCHED)
    await listed(primed, api, WATCHED)
    while (key := primed.workers._agenda.take(0)) is not None:
        primed.workers._agenda.done(key, 0)
    echo = api.objects["ModelDeployment", "ml", "churn"]
    primed._changed("ADDED", echo)
    primed._changed("MODIFIED", echo)
    assert len(primed.workers) == 0
    primed._changed(
        "MODIFIED", api.edit(MODEL_DEPLOYMENT, "churn", lambda o: o["metadata"].update(annotations={"a": "b"}))
    )
    assert len(primed.workers) == 1


async def test_a_reading_is_kept_for_the_next_decision_unless_its_model_is_gone(api: Api) -> None:
    primed = operator(api)
    reading = Reading(at=NOW, gates={})
    primed._read(KEY, reading, awaited=False)
    assert (primed.memories.get(KEY), len(primed.workers)) == (None, 0)
    memory = primed.memories.of(KEY)
    primed._read(KEY, reading, awaited=False)
    assert (memory.reading, len(primed.workers)) == (reading, 1)


async def test_a_reading_that_a_rollout_waits_for_goes_before_the_others(api: Api) -> None:
    primed = operator(api)
    first, second, waits = (deployment(("ml", name)) for name in ("first", "second", "waits"))
    for key in (first, second, waits):
        primed.memories.of(key)
        primed._read(key, Reading(at=NOW, gates={}), awaited=key == waits)
    assert [primed.workers._agenda.take(0) for _ in range(3)] == [first, waits, second]


@pytest.mark.parametrize(("what", "status"), [("lease lost", 1), ("asked to end", 0)])
async def test_it_ends_while_it_still_finds_out_what_there_is(what: str, status: int) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    async def lost() -> None:
        raise LeaseLost("taken by somebody else")

    stop = asyncio.Event()
    if what == "asked to end":
        stop.set()
    leadership = SimpleNamespace(keep=lost if what == "lease lost" else never)
    slow = SimpleNamespace(prepare=never)
    async with asyncio.timeout(5):
        ended = await process._work(slow, None, leadership, None, stop)  # type: ignore[arg-type]
    assert ended == status


async def test_credentials_that_cannot_be_used_are_said_at_the_start(tmp_path: Path) -> None:
    settings = Settings(prometheus_url="http://p:9090", prometheus_token_file=str(tmp_path / "token"))
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(Terminal, match=r"token cannot be read: No such file"):
            process._reader(settings, stack)


def test_the_command_says_what_it_can_do() -> None:
    said = CliRunner().invoke(app, ["--help"]).output
    assert "operator" in said
    assert CliRunner().invoke(app, ["--version"]).exit_code == 0
    wide = CliRunner().invoke(app, ["operator", "--help"], env={"COLUMNS": "200"}).output
    assert "POINTSMAN_PROMETHEUS_URL" in wide
