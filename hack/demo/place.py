"""Where the demo plays: a cluster that has what it needs, with the operator's image loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import addons, binaries, containerfile, images, kind, layout, lifecycle
from hack.cluster.console import step
from hack.cluster.problem import SetupError
from hack.demo import stage

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Place:
    """A cluster to play in.

    Attributes:
        gateway: URL at which the gateway takes requests, reachable from here.
        values: of the operator's chart.
        python: an image with Python, for the web server of the model files.
        keep: whether everything stays up afterwards.
        around: how to look around, for people.
    """

    kubeconfig: Path
    gateway: str
    values: dict[str, str]
    python: str
    keep: bool
    around: str


@contextmanager
def find(cluster: str, *, keep: bool) -> Iterator[Place]:
    """The cluster of that name (`local` or `kind`), started where it does not run, and taken down by who started it.

    Raises:
        SetupError: there is no such cluster, or the machine lacks something; one sentence.
    """
    places = {"local": _local, "kind": _kind}
    if cluster not in places:
        raise SetupError(f"CLUSTER={cluster} is not known: leave it out, or write CLUSTER=kind where there is Docker.")
    with places[cluster](keep=keep) as place:
        yield place


@contextmanager
def _local(*, keep: bool) -> Iterator[Place]:
    """The cluster that is built from source."""
    whole = layout.whole()
    ran = lifecycle.status(whole).whole
    lifecycle.up(whole)
    reference = operator_reference()
    with step("the operator's image"):
        recipe = containerfile.Recipe(reference, ROOT / "Containerfile", ROOT)
        lifecycle.load(whole, containerfile.build(recipe, base=images.build(images.python_base())))
    found = addons.addresses(whole.kubeconfig)
    yield _place(whole.kubeconfig, reference, found, keep=keep, down="make cluster-down")
    if not ran and not keep:
        lifecycle.down(whole)


@contextmanager
def _kind(*, keep: bool) -> Iterator[Place]:
    """The cluster in Docker."""
    ran = kind.kubeconfig().exists()
    kind.up()
    reference = operator_reference()
    kind.load(kind.build(reference, containerfile=ROOT / "Containerfile"))
    yield _place(kind.kubeconfig(), reference, kind.addresses(), keep=keep, down="make cluster-down CLUSTER=kind")
    if not ran and not keep:
        kind.down()


def _place(kubeconfig: Path, reference: str, found: dict[str, str], *, keep: bool, down: str) -> Place:
    gateway = found["GATEWAY_URL"].rstrip("/")
    return Place(
        kubeconfig=kubeconfig,
        gateway=gateway,
        values=values(reference),
        python=images.MLSERVER,
        keep=keep,
        around=around(kubeconfig, gateway=gateway, prometheus=found["PROMETHEUS_URL"], down=down),
    )


def operator_reference() -> str:
    """The name of the operator's image: another one for every other content, so that nothing old is run by mistake."""
    files = [ROOT / "Containerfile", ROOT / "requirements" / "operator.txt", *sorted((ROOT / "operator").rglob("*.py"))]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return f"{images.REGISTRY}/pointsman:{digest.hexdigest()[:12]}"


def values(operator: str) -> dict[str, str]:
    """Values of the chart for a local cluster, which has the images and its own Prometheus and gateway."""
    repository, tag = operator.rsplit(":", 1)
    return {
        "image.repository": repository,
        "image.tag": tag,
        "prometheus.url": addons.PROMETHEUS_URL,
        "gateway.metrics": "envoy-gateway",
        "storageInitializer.image": images.STORAGE_INITIALIZER,
        "runtimes.mlserver.image": images.MLSERVER,
        "runtimes.kserve-sklearn.image": images.KSERVE,
    }


def around(kubeconfig: Path, *, gateway: str, prometheus: str, down: str) -> str:
    """What a person can do in a cluster that stays up."""
    path = ":".join(str(folder) for folder in binaries.client_folders())
    return f"""
The cluster stays up. Look around:
  export KUBECONFIG={kubeconfig} PATH={path}:$PATH
  kubectl -n {stage.NAMESPACE} get modeldeployments,modelrevisions,pods
  kubectl -n {stage.NAMESPACE} describe modeldeployment {stage.NAME}
  kubectl -n {stage.NAMESPACE} get modelrevisions -o yaml      # the numbers behind every verdict
  kubectl -n {stage.OPERATOR_NAMESPACE} logs deployment/pointsman
  curl -H 'Host: {stage.HOST}' {gateway}/v2/models/{stage.NAME}/ready
  Prometheus: {prometheus}
Take it down: {down}"""
