"""A release through its life: installed, upgraded from the main job's with a rollout running, tested, taken away, installed again.

Everything of ours runs as its own service account, with what the chart grants it and no more.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from hack.cluster.fixtures import Cluster
from hack.cluster.problem import SetupError
from pointsman.cluster.kinds import MODEL_REVISION, POD, ROUTE, SERVICE, WORKLOAD
from tests.api.conftest import gateway, runtime
from tests.api.operator_gateway import Gateway
from tests.api.operator_model import GATEWAY as GATEWAY_NAME
from tests.api.operator_model import QUICK, Model
from tests.api.operator_models import Models
from tests.api.operator_older import cluster_of_its_own, older
from tests.api.operator_process import Operator, Source
from tests.api.operator_prometheus import Prometheus
from tests.api.operator_server import Server, eventually
from tests.chart.conftest import CHART, Helm
from tests.chart.kubelet import NAMESPACE, NOWHERE, Kubelet
from tests.conftest import connected

pytestmark = pytest.mark.bare

FIRST_PORT = 27680
RUNTIME = "tests"
STAYING = QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "1h"}, {"canary": {"percent": 50}, "hold": "1s"}]}


@dataclass(frozen=True)
class Site:
    """A cluster with a Gateway, models and Prometheus that are pretended, and nothing of ours in it."""

    cluster: Cluster
    kubelet: Kubelet
    server: Server
    prometheus: Prometheus
    folder: Path

    def helm(self, *words: str | Path) -> str:
        """Run helm, which has to succeed."""
        done = self.kubelet.helm(*words)
        assert not done.returncode, done.stdout + done.stderr
        return done.stdout

    def values(self, *values: str) -> list[str]:
        given = (f"prometheus.url={self.prometheus.url}", *values)
        return [word for value in given for word in ("--set", value)]

    def prepare(self) -> None:
        """What stands on CRDs."""
        self.server.create(runtime(RUNTIME))
        self.server.create(gateway(GATEWAY_NAME))

    def model(self, name: str, **spec: Any) -> Model:
        return Model(self.server, name, RUNTIME, spec)

    def definitions(self) -> dict[str, Any]:
        """What the API server has of our CRDs, but for what it fills in."""
        found = json.loads(self.cluster.kubectl("get", "crds", "-o", "json"))["items"]
        return {
            one["metadata"]["name"]: one["spec"]["versions"] for one in found if one["spec"]["group"] == "pointsman.dev"
        }

    def named(self, kinds: str) -> list[str]:
        """What there is of the release, by kind and name."""
        selector = "app.kubernetes.io/name=pointsman,app.kubernetes.io/managed-by=Helm"
        return self.cluster.kubectl("get", kinds, "--all-namespaces", "--selector", selector, "-o", "name").split()

    def serving(self) -> dict[str, Any]:
        """What users depend on: every object that serves a model, as it is."""
        return {
            f"{kind.name} {obj['metadata']['name']}": (obj["metadata"]["uid"], obj["spec"] if kind is not POD else None)
            for kind in (MODEL_REVISION, WORKLOAD, SERVICE, ROUTE, POD)
            for obj in self.server.every(kind, {"app.kubernetes.io/managed-by": "pointsman"})
        }


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return older(tmp_path_factory.mktemp("older"))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch, cluster_of_its_own(folder, patch, FIRST_PORT) as cluster:
        yield cluster


@pytest.fixture
def site(helm: Helm, own: Cluster, tmp_path: Path) -> Iterator[Site]:
    assert helm.program.exists()
    stop = threading.Event()
    with connected(own, tmp_path) as http, namespace(own, http, "ml") as server, namespace(own, http, NAMESPACE):
        routes = Gateway(server)
        models = Models(routes)
        watches = [server.watch(ROUTE, routes.seen, stop), server.watch(POD, models.seen, stop)]
        prometheus = Prometheus("ml", models)
        kubelet = Kubelet(own, tmp_path)
        yield Site(own, kubelet, server, prometheus, tmp_path)
        kubelet.end()
        own.kubectl("delete", "modelruntime", RUNTIME)
        prometheus.close()
        stop.set()
        for watch in watches:
            watch.join()


@contextmanager
def namespace(cluster: Cluster, http: httpx.Client, name: str) -> Iterator[Server]:
    cluster.kubectl("create", "namespace", name)
    yield Server(http, name)
    cluster.kubectl("delete", "namespace", name)


def test_a_release_through_its_life(site: Site, before: Source) -> None:
    rolling, of_old = begun_by_the_main_job(site, before)
    at_20 = site.serving()

    # Upgraded in the middle of it: the CRDs first, by the Job; nothing that serves is touched by helm or by the new operator.
    site.helm("upgrade", "pointsman", CHART, *site.values(NOWHERE))
    assert "modeldeployments.pointsman.dev changed" in site.kubelet.said[-1]
    assert site.definitions() != of_old
    assert site.definitions() == served(site, CHART / "crds")
    left = site.named("jobs,serviceaccounts,clusterroles,clusterrolebindings")
    assert not [name for name in left if "crds" in name], "the hook's own rights go with it"
    operator = started(site)
    assert site.serving() == at_20
    assert (
        'pointsman_condition{name="rolling",namespace="ml",reason="InProgress",type="UpToDate"}' in operator.metrics()
    )
    says_what_works(site, operator)

    # What was begun is finished, with the rights of the new chart.
    rolling.annotate("promote", f"{rolling.revision('candidate')}/1")
    assert rolling.until_ended("Promoted")["version"] == "2"

    # Taken away in the middle of another rollout: everything that serves stays as it is.
    rolling.apply("3")
    rolling.until_percent(20)
    assert operator.stop() == 0
    at_20 = site.serving()
    site.helm("uninstall", "pointsman")
    of_ours = ("deployments", "services", "serviceaccounts", "clusterroles", "modelruntimes", "rolloutpolicies")
    assert site.named(",".join(of_ours)) == []
    assert site.serving() == at_20
    assert set(site.definitions()) == set(of_old)

    # And installed again: it goes on.
    site.helm("install", "pointsman", CHART, *site.values(NOWHERE))
    assert "modeldeployments.pointsman.dev is the same" in site.kubelet.said[-1]
    operator = started(site)
    assert site.serving() == at_20
    rolling.annotate("abort", f"{rolling.revision('candidate')}/1")
    assert rolling.until_ended("Aborted")["version"] == "3"
    assert operator.stop() == 0
    assert forbidden(site) == []
    site.helm("uninstall", "pointsman")


def begun_by_the_main_job(site: Site, before: Source) -> tuple[Model, dict[str, Any]]:
    """Its chart with its own CRDs and its own operator, stopped when a model serves and another has 20 % of a rollout."""
    site.helm("install", "pointsman", before.repository / "charts" / "pointsman", *site.values())
    operator = site.kubelet.operator(site.folder / "log", before)
    operator.start()
    site.prepare()
    steady, rolling = site.model("steady"), site.model("rolling", rollout=STAYING)
    for model in (steady, rolling):
        model.apply("1")
    for model in (steady, rolling):
        model.until_serves("1")
    rolling.apply("2")
    rolling.until_percent(20)
    assert operator.stop() == 0
    return rolling, site.definitions()


def says_what_works(site: Site, operator: Operator) -> None:
    """`helm test` does, and what does not."""
    site.kubelet.replaced["--operator="] = f"--operator={operator.url}"
    site.helm("test", "pointsman")
    found = [line.split(":")[0] for line in site.kubelet.said[-1].splitlines()]
    assert found == ["ok      API server", "ok      operator", "ok      Prometheus"]
    with site.prometheus.down():
        assert site.kubelet.helm("test", "pointsman").returncode
    assert "FAILED  Prometheus: " in site.kubelet.said[-1]


def test_some_namespaces_with_a_role_in_each(site: Site, before: Source) -> None:
    """And rights in no other: a model beside them is not served, nor even seen. The CRDs that are there are an older Job's."""
    as_helm = ("apply", "--server-side", "--force-conflicts", "--field-manager=helm")
    site.cluster.kubectl(*as_helm, "-f", before.repository / "crds")
    site.helm("install", "pointsman", CHART, *site.values(NOWHERE, "namespaces={ml}"))
    assert site.definitions() == served(site, CHART / "crds")
    operator = site.kubelet.operator(site.folder / "log")
    operator.start()
    site.prepare()
    with namespace(site.cluster, site.server.http, "elsewhere") as elsewhere:
        unseen = Model(elsewhere, "unseen", RUNTIME)
        unseen.apply("1")
        model = site.model("churn")
        model.apply("1")
        model.until_serves("1")
        assert "conditions" not in unseen.status
        account = f"--as=system:serviceaccount:{NAMESPACE}:pointsman"
        for what in ("list deployments", "get secrets", "create services"):
            assert not allowed(site, *what.split(), account, "--namespace=elsewhere"), what
        assert allowed(site, "list", "deployments", account, "--namespace=ml")
        assert not allowed(site, "list", "deployments", account, "--all-namespaces")
    assert operator.stop() == 0
    assert forbidden(site) == []
    site.helm("uninstall", "pointsman")


def started(site: Site) -> Operator:
    """The release's operator, once it has read Prometheus twice and acted on it."""
    operator = site.kubelet.operator(site.folder / "log")
    operator.start()
    eventually(lambda: operator.metrics()["pointsman_looks_total"], lambda looks: looks >= 2)
    return operator


def served(site: Site, folder: Path) -> dict[str, Any]:
    """The CRDs of a folder as the API server would have them."""
    words = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-o", "yaml", "-f", folder)
    found = yaml.safe_load(site.cluster.kubectl(*words))["items"]
    return {one["metadata"]["name"]: one["spec"]["versions"] for one in found}


def forbidden(site: Site) -> list[str]:
    """What the operator was not allowed to do, in the API server's words."""
    return [line for line in (site.folder / "log").read_text().splitlines() if re.search(r"cannot \w+ resource", line)]


def allowed(site: Site, *words: str) -> bool:
    """Whether `kubectl auth can-i` says yes; it says no by its exit status."""
    try:
        return site.cluster.kubectl("auth", "can-i", *words).startswith("yes")
    except SetupError:
        return False
