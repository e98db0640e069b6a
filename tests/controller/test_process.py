from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from pointsman.cli.command import app
from pointsman.cluster.answers import Missing
from pointsman.cluster.client import Listing
from pointsman.cluster.kinds import GATEWAY, MODEL_DEPLOYMENT, MODEL_REVISION, MODEL_RUNTIME, ROUTE, WATCHED, Kind
from pointsman.controller.looks import NoReader
from pointsman.controller.metrics import Metrics
from pointsman.controller.probes import Pulse
from pointsman.controller.settings import Settings
from pointsman.controller.wiring import Operator
from pointsman.errors import Terminal
from pointsman.rollout import decision
from pointsman.signals.reading import Reading
from tests.cluster.objects import model, revision
from tests.controller.fake import FakeApi
from tests.controller.test_reconcile import KEY, NOW


class Api(FakeApi):
    """Kinds in `absent` are not installed."""

    absent: tuple[Kind, ...] = ()

    async def list(self, kind: Kind, namespace: str | None = None, *, labels: str | None = None) -> Listing:
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


async def test_before_anything_is_decided_everything_is_listed(api: Api) -> None:
    primed = operator(api)
    await primed.prime()
    assert [read.split()[1] for read in api.reads] == [kind.name for kind in WATCHED]
    assert primed.cache.size(MODEL_DEPLOYMENT) == primed.cache.size(MODEL_REVISION) == 1
    assert len(primed.workers) == 1


async def test_without_the_gateway_api_it_works_and_does_not_watch_it(api: Api) -> None:
    api.absent = (GATEWAY, ROUTE)
    primed = operator(api)
    await primed.prime()
    assert set(primed._served) == set(WATCHED) - {GATEWAY, ROUTE}


async def test_without_its_own_kinds_it_says_what_to_install(api: Api) -> None:
    api.absent = (MODEL_RUNTIME,)
    with pytest.raises(Terminal, match=r"modelruntimes\.pointsman\.dev: install Pointsman's CRDs"):
        await operator(api).prime()


async def test_events_reach_the_queue_and_echoes_do_not(api: Api) -> None:
    primed = operator(api)
    await primed.prime()
    for key in list(primed.workers._agenda._ready):
        primed.workers._agenda.take(0)
        primed.workers._agenda.done(key)
    echo = api.objects["ModelDeployment", "ml", "churn"]
    primed._seen(None, echo)
    primed._seen("MODIFIED", echo)
    assert len(primed.workers) == 0
    primed._seen(
        "MODIFIED", api.edit(MODEL_DEPLOYMENT, "churn", lambda o: o["metadata"].update(annotations={"a": "b"}))
    )
    assert len(primed.workers) == 1


async def test_a_reading_is_kept_for_the_next_decision_unless_its_model_is_gone(api: Api) -> None:
    primed = operator(api)
    reading = Reading(at=NOW, gates={})
    primed._read(KEY, reading)
    assert (primed.memories.get(KEY), len(primed.workers)) == (None, 0)
    memory = primed.memories.of(KEY)
    primed._read(KEY, reading)
    assert (memory.reading, len(primed.workers)) == (reading, 1)


def test_the_command_says_what_it_can_do() -> None:
    said = CliRunner().invoke(app, ["--help"]).output
    assert "operator" in said
    assert CliRunner().invoke(app, ["--version"]).exit_code == 0
    wide = CliRunner().invoke(app, ["operator", "--help"], env={"COLUMNS": "200"}).output
    assert "POINTSMAN_PROMETHEUS_URL" in wide
