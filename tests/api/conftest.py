"""The operator at work on the bare API server, with a gateway and a Prometheus that are the tests' own."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from pointsman.api.values import API_VERSION
from pointsman.cluster.kinds import GATEWAY, MODEL_RUNTIME, POD, ROUTE, Kind
from tests.api.operator_gateway import Gateway
from tests.api.operator_model import GATEWAY as GATEWAY_NAME
from tests.api.operator_model import Model
from tests.api.operator_models import Models
from tests.api.operator_process import TODAYS, Operator, Source
from tests.api.operator_prometheus import COUNTER, Prometheus
from tests.api.operator_server import Object, Server, eventually

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster
    from tests.conftest import Admission


@dataclass(frozen=True)
class Site:
    """A namespace in which the operator works, and all that it deals with there."""

    cluster: Cluster
    server: Server
    runtime: str
    gateway: Gateway
    models: Models
    prometheus: Prometheus
    operator: Operator

    def looks(self, more: int) -> None:
        """Wait until the operator has looked at its rollouts so many times more."""
        seen = self.operator.metrics()["pointsman_looks_total"]
        eventually(lambda: self.operator.metrics()["pointsman_looks_total"], lambda now: now >= seen + more)

    def reconciles(self, more: int) -> None:
        """Wait until the operator has gone over its ModelDeployments so many times more."""

        def done() -> float:
            return self.operator.metrics()['pointsman_reconciles_total{result="ok"}']

        seen = done()
        eventually(done, lambda now: now >= seen + more)

    def settled(self) -> None:
        """Wait until the operator writes nothing from one look to the next."""

        def still() -> bool:
            before = self.operator.writes()
            self.looks(1)
            return self.operator.writes() == before

        eventually(still, bool)


Cleanup = Callable[[Kind, str], None]


def runtime(name: str) -> Object:
    """A ModelRuntime whose server counts requests, and no latency."""
    container = {
        "name": "model",
        "image": "registry.example.com/server:1",
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 8082}],
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelRuntime",
        "metadata": {"name": name},
        "spec": {
            "template": {"spec": {"containers": [container]}},
            "port": "http",
            "metrics": {"port": "metrics", "requests": {"counter": COUNTER, "failed": {"code": "5.."}}},
        },
    }


def gateway(name: str) -> Object:
    """A Gateway for HTTP."""
    return {
        "apiVersion": GATEWAY.api_version,
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": {"gatewayClassName": "tests", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    }


@pytest.fixture(scope="session")
def site(crds: Cluster, admission: Admission, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The operator runs, in a namespace of its own."""
    with operating(crds, admission.http, tmp_path_factory.mktemp("operator") / "log") as found:
        yield found


@contextmanager
def operating(cluster: Cluster, http: httpx.Client, log: Path, source: Source = TODAYS) -> Iterator[Site]:
    """A namespace of its own, with a gateway, models and Prometheus that are pretended, and an operator that is not."""
    namespace = f"operator-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", namespace)
    server, stop = Server(http, namespace), threading.Event()
    server.create(runtime(namespace))
    server.create(gateway(GATEWAY_NAME))
    routes = Gateway(server)
    models = Models(routes)
    watches = [server.watch(ROUTE, routes.seen, stop), server.watch(POD, models.seen, stop)]
    prometheus = Prometheus(namespace, models)
    operator = Operator(
        log,
        source,
        kubeconfig=cluster.kubeconfig,
        namespaces=namespace,
        lease_namespace=namespace,
        prometheus_url=prometheus.url,
        **({} if source is not TODAYS else {"inspector_image": "registry.example.com/pointsman:1"}),
    )
    operator.start()
    yield Site(cluster, server, namespace, routes, models, prometheus, operator)
    ended = operator.stop()
    prometheus.close()
    stop.set()
    for watch in watches:
        watch.join()
    server.delete(MODEL_RUNTIME, namespace)
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    assert ended == 0, operator.log.read_text(encoding="utf-8")[-2000:]
    assert not operator.crashes(), operator.log


@pytest.fixture
def model(site: Site) -> Iterator[Callable[..., Model]]:
    """Makes ModelDeployments that go with the test."""
    made: list[Model] = []
    stem = f"m{uuid.uuid4().hex[:6]}"

    def make(**spec: Any) -> Model:
        made.append(Model(site.server, f"{stem}-{next(number)}", site.runtime, spec))
        return made[-1]

    number = itertools.count(1)
    yield make
    for one in made:
        one.delete()


@pytest.fixture
def cleanup(site: Site) -> Iterator[Cleanup]:
    """Deletes what a test makes outside of the namespace, or beside its models."""
    made: list[tuple[Kind, str]] = []
    yield lambda kind, name: made.append((kind, name))
    for kind, name in made:
        site.server.delete(kind, name)
