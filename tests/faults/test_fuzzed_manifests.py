"""Whatever is applied, the operator answers in a condition, writes nothing more once it has answered, and goes on."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from hack.cluster.fixtures import Cluster
from pointsman.cluster.kinds import (
    MODEL_DEPLOYMENT,
    MODEL_REVISION,
    MODEL_RUNTIME,
    ROLLOUT_POLICY,
    ROUTE,
    Kind,
)
from tests import sizes
from tests.api.cel_examples import IMMUTABLE
from tests.api.conftest import gateway, runtime
from tests.api.operator_gateway import Gateway
from tests.api.operator_model import GATEWAY, Model
from tests.api.operator_process import Operator
from tests.api.operator_server import QUOTA, Object, Server, eventually
from tests.conftest import Admission
from tests.faults.manifests import Manifest, Manifests
from tests.prometheus.real import Prometheus

pytestmark = pytest.mark.bare

MANIFESTS = 5000 if sizes.FULL else 300
BATCH = 100
SEED = 5
PODS = "200"
ANSWERS = (MODEL_DEPLOYMENT, MODEL_RUNTIME, ROLLOUT_POLICY)
OURS = {kind.name: kind for kind in (*ANSWERS, MODEL_REVISION)}
WITHIN = ("ModelDeployment",) * 6 + ("ModelRuntime", "ModelRuntime", "RolloutPolicy", "ModelRevision")
QUIET_SECONDS = 1.0
PATIENCE = 60.0


@dataclass
class Lab:
    """One operator, and a namespace in which nothing makes sense."""

    server: Server
    operator: Operator
    manifests: Manifests
    random: Random
    tally: Counter[str] = field(default_factory=Counter)

    def put(self, manifest: Manifest) -> httpx.Response:
        """Create it, or make an existing object into it."""
        kind, obj = OURS[manifest.kind], manifest.object
        path = kind.path(self.server.namespace, manifest.name)
        while (before := self.server.http.get(path)).is_success:
            version = before.json()["metadata"]["resourceVersion"]
            meta = obj["metadata"] | {"resourceVersion": version}
            answer = self.server.http.put(path, content=_json(obj | {"metadata": meta}), headers=JSON)
            if answer.status_code != httpx.codes.CONFLICT:  # the operator has written its status
                return answer
        return self.server.http.post(kind.path(self.server.namespace), content=_json(obj), headers=JSON)

    def every(self, kind: Kind) -> list[Object]:
        """Of a kind, those that are this test's."""
        listed: list[Object] = self.server.http.get(kind.path(self.server.namespace)).json()["items"]
        return [obj for obj in listed if obj["metadata"]["name"].startswith("fuzz-")]

    def unanswered(self) -> list[tuple[str, Object]]:
        """The objects whose newest generation has no verdict."""
        return [
            (obj["metadata"]["name"], {"generation": obj["metadata"]["generation"], **obj.get("status", {})})
            for kind in ANSWERS
            for obj in self.every(kind)
            if not _answered(obj)
        ]

    def answers(self) -> None:
        """Everything has its verdict."""
        eventually(self.unanswered, lambda left: not left, PATIENCE)

    def settles(self) -> None:
        """And then nothing is written for a while, nor gone over without a cause."""
        eventually(self._busy, lambda busy: not busy, PATIENCE)

    def clear(self) -> None:
        """Delete everything."""
        for kind in (MODEL_DEPLOYMENT, MODEL_RUNTIME, ROLLOUT_POLICY, MODEL_REVISION):
            for obj in self.every(kind):
                self.server.delete(kind, obj["metadata"]["name"])
        eventually(
            lambda: [obj["metadata"]["name"] for kind in OURS.values() for obj in self.every(kind)],
            lambda left: not left,
        )

    def _busy(self) -> Object:
        before, known = self.operator.writes(), self.operator.metrics()
        time.sleep(QUIET_SECONDS)  # the time in which nothing happens is what is measured
        after, now = self.operator.writes(), self.operator.metrics()
        written = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
        reconciles = sum(
            now[name] - known.get(name, 0) for name in now if name.startswith("pointsman_reconciles_total")
        )
        looks = now["pointsman_looks_total"] - known["pointsman_looks_total"]
        idle = reconciles - looks <= BATCH  # each may have been due once
        return written if idle else {**written, "reconciles": reconciles, "looks": looks}


JSON = {"Content-Type": "application/json"}


def _json(obj: Any) -> bytes:
    return json.dumps(obj, allow_nan=False).encode()


def _answered(obj: Object) -> bool:
    status, generation = obj.get("status", {}), obj["metadata"]["generation"]
    verdicts = [c for c in status.get("conditions", ()) if c["type"] == "Accepted"]
    return status.get("observedGeneration") == generation and [c.get("observedGeneration") for c in verdicts] == [
        generation
    ]


@pytest.fixture(scope="module")
def definitions(crds: Cluster) -> dict[str, Object]:
    """The API server's own schemas, of pods and what is in them."""
    served = json.loads(crds.kubectl("get", "--raw", "/openapi/v3/apis/apps/v1"))
    found: dict[str, Object] = served["components"]["schemas"]
    return found


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A real one that knows nothing: it reads every query, and says which it cannot."""
    server = Prometheus(tmp_path_factory.mktemp("prometheus"))
    with server.running():
        yield server


@pytest.fixture
def lab(
    crds: Cluster, admission: Admission, definitions: dict[str, Object], prometheus: Prometheus, tmp_path: Path
) -> Iterator[Lab]:
    namespace = f"odd-{uuid.uuid4().hex[:8]}"
    crds.kubectl("create", "namespace", namespace)
    server, stop = Server(admission.http, namespace), threading.Event()
    server.post(QUOTA, {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": PODS}}})
    server.create(gateway(GATEWAY))
    server.create(runtime(namespace))
    routes = server.watch(ROUTE, Gateway(server).seen, stop)
    operator = Operator(
        tmp_path / "log",
        kubeconfig=crds.kubeconfig,
        namespaces=namespace,
        lease_namespace=namespace,
        lease_duration="60",  # a machine that is busy otherwise is not what is tested
        renew_deadline="50",
        prometheus_url=prometheus.url,
    )
    operator.start()
    made = Lab(server, operator, Manifests(SEED, definitions), Random(SEED))  # noqa: S311  a test's
    yield made
    made.clear()
    ended = operator.stop()
    stop.set()
    routes.join()
    server.delete(MODEL_RUNTIME, namespace)
    crds.kubectl("delete", "namespace", namespace, "--wait=false")
    assert ended == 0, operator.log.read_text(encoding="utf-8")[-2000:]


def test_whatever_the_schema_allows_is_answered(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()
    witness = Model(lab.server, "witness", lab.server.namespace)
    witness.apply("1")
    witness.until_serves("1")
    before = witness.serving()
    for _ in range(0, MANIFESTS, BATCH):
        for _ in ("made", "made into something else"):
            for number in range(BATCH // 2):
                kind, name = WITHIN[number % len(WITHIN)], f"fuzz-{number}"
                taken(lab, lab.manifests.within(kind, name if number % 10 else name.ljust(54, "x")))
            lab.answers()
        lab.settles()
        meddle(lab)
        lab.answers()
        lab.settles()
        assert not lab.operator.crashes(), lab.operator.log.read_text(encoding="utf-8")[-20_000:]
        assert "query fails" not in lab.operator.log.read_text(encoding="utf-8")
        lab.clear()
    assert witness.serving() == before
    witness.apply("2")
    witness.until(lambda s: s.get("candidate", {}).get("readyReplicas") == 1)
    witness.delete()
    with capsys.disabled():
        print(f"\n{MANIFESTS} manifests in {time.monotonic() - begun:.0f} s: {dict(sorted(lab.tally.items()))}")  # noqa: T201  the test's figure
    assert lab.tally["taken"] > MANIFESTS / 2  # else nothing was tried


def test_what_the_schema_refuses_is_refused_by_the_name_of_the_field(
    admission: Admission, definitions: dict[str, Object]
) -> None:
    server, manifests = Server(admission.http, admission.namespace), Manifests(SEED, definitions)
    for number in range(MANIFESTS // 3):
        manifest = manifests.beyond(WITHIN[number % len(WITHIN)], "fuzz-beyond")
        path = OURS[manifest.kind].path(server.namespace)
        answer = server.http.post(path, content=_json(manifest.object), headers=JSON, params={"dryRun": "All"})
        assert not answer.is_success, manifest
        explained(answer, manifest)


def taken(lab: Lab, manifest: Manifest) -> None:
    """Apply it; where it is refused after all, the sentence says what is wrong with which field."""
    answer = lab.put(manifest)
    lab.tally["taken" if answer.is_success else "refused"] += 1
    if not answer.is_success:
        explained(answer, manifest)


def meddle(lab: Lab) -> None:
    """Somebody writes statuses by hand."""
    for kind in OURS.values():
        for obj in lab.every(kind):
            if lab.random.random() < 0.2:
                path = kind.path(lab.server.namespace, obj["metadata"]["name"], "status")
                edited = obj | {"status": lab.manifests.status(kind.name, obj.get("status", {}))}
                lab.tally["statuses by hand"] += lab.server.http.put(
                    path, content=_json(edited), headers=JSON
                ).is_success


def explained(answer: httpx.Response, manifest: Manifest) -> None:
    """The API server's refusal names a field that is odd, or what it is part of."""
    said = answer.json()
    assert answer.status_code in (400, 422), said
    odd = [str(step) for path in manifest.odd for step in path if isinstance(step, str)] + ["metadata"]
    message = said["message"]
    assert IMMUTABLE in message or any(name in message for name in odd), (message, manifest.odd)
