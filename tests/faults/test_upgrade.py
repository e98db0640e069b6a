"""Objects and rollouts of an older operator under today's: nothing that runs is changed, and what was begun is finished."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import layout
from hack.cluster.fixtures import Cluster
from pointsman.cluster.kinds import MODEL_REVISION, POD, WORKLOAD
from tests.api.conftest import Site, operating
from tests.api.operator_model import QUICK, Model
from tests.api.operator_models import FAILURES
from tests.api.operator_older import cluster_of_its_own, older
from tests.api.operator_process import TODAYS, Source
from tests.api.operator_server import Object
from tests.conftest import CRDS, connected

pytestmark = pytest.mark.bare

FIRST_PORT = 27660
AT_20: Object = {"canary": {"percent": 20}}
AT_50: Object = {"canary": {"percent": 50}, "hold": "1s"}
GOING = QUICK | {"steps": [AT_20 | {"hold": "6s"}, AT_50]}
STAYING = QUICK | {"steps": [AT_20 | {"hold": "1h"}, AT_50]}
ASKING = QUICK | {"steps": [AT_20 | {"hold": "1s"}, {"approval": {}}, AT_50]}


@dataclass(frozen=True)
class Fleet:
    """What the older operator has made, each in another moment of its life."""

    serving: Model
    plain: Model
    harmed: Model
    aborted: Model
    asking: Model
    paused: Model
    going: Model

    def all(self) -> list[Model]:
        return list(vars(self).values())

    def standing(self) -> list[Model]:
        """Those that stay as they are while nobody does anything."""
        return [model for model in self.all() if model is not self.going]

    def rolling(self) -> list[Model]:
        """Those of them that are in a rollout."""
        return [self.harmed, self.aborted, self.asking, self.paused]


@dataclass(frozen=True)
class Sight:
    """What an upgrade must not change: what runs and which versions there are."""

    workloads: dict[str, Any] = field(default_factory=dict)
    pods: dict[str, set[str]] = field(default_factory=dict)
    revisions: frozenset[str] = frozenset()


def sight(site: Site, models: list[Model]) -> Sight:
    names = {model.name for model in models}

    def theirs(kind: Any) -> list[Object]:
        return [
            o
            for o in site.server.every(kind)
            if o["metadata"].get("labels", {}).get("pointsman.dev/deployment") in names
        ]

    pods: dict[str, set[str]] = {}
    for pod in theirs(POD):
        pods.setdefault(pod["metadata"]["labels"]["pointsman.dev/revision"], set()).add(pod["metadata"]["uid"])
    return Sight(
        workloads={o["metadata"]["name"]: (o["metadata"]["uid"], o["spec"]["template"]) for o in theirs(WORKLOAD)},
        pods=pods,
        revisions=frozenset(o["metadata"]["name"] for o in theirs(MODEL_REVISION)),
    )


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The older operator."""
    return older(tmp_path_factory.mktemp("older"))


@pytest.fixture
def site(before: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The older operator with its CRDs."""
    with cluster_of_its_own(tmp_path, monkeypatch, FIRST_PORT) as cluster:
        install(cluster, before.repository / "crds")
        with connected(cluster, tmp_path) as http, operating(cluster, http, tmp_path / "log", before) as found:
            yield found


def install(cluster: Cluster, crds: Path) -> None:
    """As the chart's Job does before an upgrade (tests/chart/test_release.py)."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", crds)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", crds)


def fleet(site: Site) -> Fleet:
    """Everything serves, and what rolls out has 20 %; what is asked for approval asks."""

    def model(name: str, **spec: Any) -> Model:
        return Model(site.server, name, site.runtime, spec)

    made = Fleet(
        serving=model("serving"),
        plain=model("plain", traffic=None),
        harmed=model("harmed", rollout=STAYING),
        aborted=model("aborted", rollout=STAYING),
        asking=model("asking", rollout=ASKING),
        paused=model("paused", rollout=GOING),
        going=model("going", rollout=GOING),
    )
    for one in made.all():
        one.apply("1")
    for one in made.all():
        one.until_serves("1")
    for one in made.rolling():
        one.apply("bad" if one is made.harmed else "2")
        one.until_percent(20)
        if one is made.paused:
            one.annotate("pause", "")
    made.asking.until(lambda s: s.get("rollout", {}).get("phase") == "AwaitingApproval")
    made.paused.until_says("Paused", "True", "Annotation")
    made.going.apply("2")
    made.going.until_percent(20)
    return made


def test_what_an_older_operator_has_made_and_begun(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    share_of_failures = FAILURES["bad"]
    monkeypatch.setitem(FAILURES, "bad", 0.005)  # so far as good as any
    it = fleet(site)
    before, stands = sight(site, it.standing()), [standing(model) for model in it.rolling()]
    idle, revisions = sight(site, [it.serving, it.plain]), sight(site, it.all()).revisions

    install(Cluster(layout.bare()), CRDS)
    site.operator.upgrade(TODAYS)
    site.looks(2 * len(it.rolling()))
    assert sight(site, it.standing()) == before
    assert [standing(model) for model in it.rolling()] == stands

    monkeypatch.setitem(FAILURES, "bad", share_of_failures)
    it.aborted.annotate("abort", f"{it.aborted.revision('candidate')}/1")
    it.asking.annotate("approve", f"{it.asking.revision('candidate')}/1/2")
    it.paused.annotate("pause", None)
    assert it.harmed.until_ended("RolledBack")["reason"] == "Harm"
    assert it.aborted.until_ended("Aborted")["version"] == "2"
    for model in (it.going, it.asking, it.paused):
        entry = model.until_ended("Promoted")
        assert (entry["version"], entry["attempt"]) == ("2", 1)
        (gate,) = model.record(entry["revision"])["attempts"][-1]["gates"]
        assert (gate["verdict"], gate["candidateRequests"] > 0) == ("Safe", True)
    assert sight(site, it.all()).revisions == revisions
    assert sight(site, [it.serving, it.plain]) == idle


def standing(model: Model) -> tuple[Any, ...]:
    """How far a rollout is, and the traffic that it has."""
    rollout = model.status["rollout"]
    return (*(rollout[key] for key in ("attempt", "phase", "step", "percent", "startedAt")), model.weights())
