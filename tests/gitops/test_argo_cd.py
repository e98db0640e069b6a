"""The real Argo CD keeps a model as Git says, prunes and heals, and leaves a running canary alone: `make test-argocd`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.gitops import argocd
from hack.gitops.argocd import ArgoCD
from pointsman.api.values import API_VERSION
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, ROUTE, Kind
from tests.api.conftest import Site
from tests.api.operator_model import QUICK, Model
from tests.api.operator_server import Object, eventually
from tests.gitops.test_route_ref import manifest
from tests.sizes import FULL

pytestmark = [
    pytest.mark.bare,
    pytest.mark.skipif(not FULL, reason="builds Argo CD; runs with POINTSMAN_FULL=1 (make test-argocd)"),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "gitops" / "platform" / "applications" / "churn-production.yaml"
CONFIG = Kind(api_version="v1", name="ConfigMap", plural="configmaps")
STEPS = [{"canary": {"percent": 20}, "hold": "1s"}, {"approval": {}}]
ROLLOUT = QUICK | {"steps": STEPS}


@dataclass(frozen=True)
class Repository:
    """A local git repository that a team pushes to."""

    folder: Path

    def commit(self, **files: Object | None) -> None:
        """Write manifests and commit them; None takes one away."""
        for name, obj in files.items():
            file = self.folder / f"{name}.yaml"
            if obj is None:
                file.unlink()
            else:
                file.write_text(yaml.safe_dump(obj), encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")

    def git(self, *words: str) -> None:
        """Run git."""
        identity = ("-c", "user.name=team", "-c", "user.email=team@example.com")
        subprocess.run(["git", *identity, *words], cwd=self.folder, check=True, capture_output=True)  # noqa: S603, S607


@pytest.fixture(scope="module")
def argo(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArgoCD]:
    with argocd.running(site.cluster.kubeconfig, tmp_path_factory.mktemp("argocd") / "run") as found:
        yield found


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    found = Repository(tmp_path / "repository")
    found.folder.mkdir()
    found.git("init", "--quiet", "--initial-branch", "main")
    return found


def model_manifest(churn: Model, version: str) -> Object:
    spec = churn.spec | {"model": {"version": version}, "traffic": {"routeRef": {"name": churn.name}}}
    return {"apiVersion": API_VERSION, "kind": "ModelDeployment", "metadata": {"name": churn.name}, "spec": spec}


@dataclass(frozen=True)
class App:
    """The Application of a model, as in examples/gitops, on a repository of the test's."""

    argo: ArgoCD
    name: str
    namespace: str

    @property
    def resource(self) -> dict[str, str]:
        """The ModelDeployment, as Argo CD's API names it."""
        return {
            "namespace": self.namespace,
            "resourceName": self.name,
            "version": "v1alpha1",
            "group": "pointsman.dev",
            "kind": "ModelDeployment",
        }

    def until(self, sync: str, health: str, *, seconds: float = 60) -> None:
        """Wait until Argo CD shows this, looking at Git again meanwhile."""

        def shown() -> tuple[str, str]:
            status = self.argo.application(self.name, refresh="normal")["status"]
            return status["sync"]["status"], status["health"]["status"]

        eventually(shown, lambda now: now == (sync, health), seconds)

    def refresh(self) -> str:
        """Look at Git and the cluster anew; how they compare."""
        status: str = self.argo.application(self.name, refresh="hard")["status"]["sync"]["status"]
        return status

    def synced(self) -> None:
        """Apply everything again, whatever has changed, and wait for the end of it."""
        self.argo.sync(self.name)

        def ended() -> tuple[bool, str | None]:
            app = self.argo.application(self.name)
            return "operation" not in app, app["status"].get("operationState", {}).get("phase")

        found = eventually(ended, lambda said: said[0] and said[1] in ("Succeeded", "Failed", "Error"))
        assert found == (True, "Succeeded")

    def health(self, kind: str, name: str) -> tuple[str, str]:
        """What is shown of a resource below the Application."""
        found = next(n for n in self.argo.tree(self.name) if (n["kind"], n["name"]) == (kind, name))
        said = found.get("health", {})
        return said.get("status", ""), said.get("message", "")

    def offered(self) -> set[str]:
        """The actions that can be taken."""
        return {name for name, can in self.argo.actions(self.name, self.resource).items() if can}

    def act(self, action: str) -> None:
        """Click on one."""
        self.argo.act(self.name, self.resource, action)


def application(site: Site, name: str, repository: Repository) -> Object:
    """The example's, for another repository and namespace."""
    obj: Object = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    obj["metadata"] = {"name": name, "namespace": argocd.NAMESPACE}
    spec = obj["spec"]
    spec["project"] = "default"
    spec["source"] = {"repoURL": f"file://{repository.folder}", "path": ".", "targetRevision": "main"}
    spec["destination"]["namespace"] = site.server.namespace
    return obj


@pytest.fixture
def apply(site: Site) -> Iterator[Callable[[Object], None]]:
    made: set[str] = set()

    def applied(obj: Object) -> None:
        made.add(obj["metadata"]["name"])
        site.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump(obj))

    yield applied
    for name in made:
        site.cluster.kubectl("-n", argocd.NAMESPACE, "delete", "application", name)  # or it heals what goes next


@dataclass(frozen=True)
class Scene:
    """A model in a repository, served and shown as such."""

    site: Site
    app: App
    churn: Model
    repository: Repository

    def push(self, version: str) -> None:
        """Another version of the model is in Git."""
        self.repository.commit(model=model_manifest(self.churn, version))
        self.app.refresh()

    def shown(self) -> tuple[str, str]:
        """Health and message of the model."""
        return self.app.health("ModelDeployment", self.churn.name)

    def timeouts(self) -> Any:
        """What the route in the cluster says of the team's first rule."""
        return (self.site.server.get(ROUTE, self.churn.name) or {})["spec"]["rules"][0]["timeouts"]

    def written(self) -> Object:
        """The spec of the ModelDeployment in the cluster."""
        spec: Object = (self.site.server.get(MODEL_DEPLOYMENT, self.churn.name) or {})["spec"]
        return spec


@pytest.fixture
def scene(
    site: Site, argo: ArgoCD, repository: Repository, model: Callable[..., Model], apply: Callable[[Object], None]
) -> Scene:
    churn = model(rollout=ROLLOUT)
    note: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{churn.name}-note"}}
    repository.commit(model=model_manifest(churn, "1"), route=manifest(churn.name), note=note)
    apply(application(site, churn.name, repository))
    app = App(argo, churn.name, site.server.namespace)
    app.until("Synced", "Healthy")
    return Scene(site, app, churn, repository)


def test_a_canary_a_rollback_and_a_revert(scene: Scene) -> None:
    assert scene.shown() == ("Healthy", "version 1 takes all traffic")
    stable = scene.churn.revision()
    scene.push("2")
    scene.churn.until_says("UpToDate", "False", "AwaitingApproval", seconds=60)
    candidate = scene.churn.revision("candidate")
    scene.app.until("Synced", "Suspended")
    assert "waits for approval" in scene.shown()[1]
    assert scene.app.health("ModelRevision", candidate)[0] == "Progressing"
    leaves_a_running_canary_alone(scene, candidate)
    offers_what_can_be_done(scene)
    scene.churn.until_serves("2", seconds=60)
    scene.app.until("Synced", "Healthy")
    assert scene.app.health("ModelRevision", stable)[0] == "Healthy"
    does_not_fight_over_a_refused_version(scene, candidate)
    scene.repository.git("revert", "--no-edit", "HEAD")
    scene.app.refresh()
    scene.churn.until_serves("2", seconds=60)
    scene.app.until("Synced", "Healthy")
    assert scene.app.refresh() == "Synced"


def leaves_a_running_canary_alone(scene: Scene, candidate: str) -> None:
    """Argo CD looks, syncs, prunes and heals beside it."""
    churn, before = scene.churn, {key: obj["metadata"]["uid"] for key, obj in scene.churn.children().items()}
    note = f"{churn.name}-note"
    assert scene.site.server.get(CONFIG, note) is not None
    scene.repository.commit(note=None)
    scene.app.refresh()
    eventually(lambda: scene.site.server.get(CONFIG, note), lambda found: found is None)
    for _ in range(3):
        assert scene.app.refresh() == "Synced"
        scene.app.synced()
        assert churn.share(candidate) == 20
    churn.edit(MODEL_DEPLOYMENT, churn.name, {"spec": {"rollout": {"interval": "7s"}}})
    eventually(lambda: scene.written()["rollout"]["interval"], lambda interval: interval == ROLLOUT["interval"])
    assert churn.share(candidate) == 20
    assert {key: obj["metadata"]["uid"] for key, obj in churn.children().items()} == before


def offers_what_can_be_done(scene: Scene) -> None:
    """Pause, resume and approve, as a person clicks on them."""
    assert scene.app.offered() == {"promote", "abort", "approve", "pause"}
    scene.app.act("pause")
    scene.churn.until_says("Paused", "True", "Annotation")
    eventually(scene.app.offered, lambda offered: offered == {"promote", "abort", "approve", "resume"})
    scene.app.act("resume")
    scene.churn.until_says("Paused", "False", "NotPaused")
    scene.app.act("approve")


def does_not_fight_over_a_refused_version(scene: Scene, stable: str) -> None:
    """Git still names it; it is tried again only when a person asks for that."""
    scene.push("3-bad")
    refused = scene.churn.until_ended("RolledBack", seconds=60)["revision"]
    scene.app.until("Synced", "Degraded")
    message = scene.shown()[1]
    assert "errors: Harm" in message
    assert f"{refused}/1" in message
    assert scene.app.health("ModelRevision", refused)[0] == "Degraded"
    scene.app.synced()
    assert scene.app.refresh() == "Synced"
    assert scene.churn.share(stable) == 100
    assert scene.app.offered() == {"retry"}
    scene.app.act("retry")
    scene.churn.until(lambda status: status["history"][0]["attempt"] == 2, seconds=60)


def test_the_teams_rules_arrive_during_a_canary(scene: Scene) -> None:
    """A change of the route in Git takes the candidate's share away for a moment: it comes back after a look."""
    scene.push("2")
    scene.churn.until_says("UpToDate", "False", "AwaitingApproval", seconds=60)
    candidate = scene.churn.revision("candidate")
    scene.repository.commit(route=manifest(scene.churn.name, timeout="9s"))
    scene.app.refresh()
    eventually(scene.timeouts, lambda found: found == {"request": "9s"})
    eventually(lambda: scene.churn.share(candidate), lambda share: share == 20)
    scene.app.until("Synced", "Suspended")
