"""Real rollouts, stopped at the moments that Argo CD and Flux have a word for; every object is as the API server gave it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pointsman.api.names import DEPLOYMENT
from pointsman.api.values import API_VERSION
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, MODEL_REVISION, MODEL_RUNTIME, ROLLOUT_POLICY, Kind
from tests.api.conftest import Site, runtime
from tests.api.operator_model import QUICK, Model, condition
from tests.api.operator_server import Object, Server, eventually

LONG = QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "10m"}]}
ASKING = QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "1s"}, {"approval": {}}]}
KEEPING = QUICK | {"keepPrevious": "10m"}
STUCK = QUICK | {"deadline": "3s", "steps": [{"canary": {"percent": 20}, "hold": "1s"}]}
STUCK["gates"] = [{"name": "errors", "signal": "Errors", "tolerance": {"ratio": "1.26", "points": "0"}}]


@dataclass(frozen=True)
class Moment:
    """An object at a moment that has a name."""

    name: str
    object: Object

    @property
    def kind(self) -> str:
        """Of the object."""
        kind: str = self.object["kind"]
        return kind


Make = Callable[..., Model]
Story = Callable[[Site, Make], Iterator[Moment]]


def _of(name: str, model: Model) -> Moment:
    return Moment(name, _get(model.server, MODEL_DEPLOYMENT, model.name))


def _revision(name: str, model: Model, revision: str) -> Moment:
    return Moment(name, _get(model.server, MODEL_REVISION, revision))


def _get(server: Server, kind: Kind, name: str) -> Object:
    obj = server.get(kind, name)
    assert obj is not None, (kind, name)
    return obj


def _second(model: Model, version: str = "2") -> str:
    """Version 1 serves, the next has its first share; its revision."""
    model.apply("1")
    model.until_serves("1")
    model.apply(version)
    revision: str = model.until_percent(20)["candidate"]["revision"]
    return revision


def promoted(_: Site, make: Make) -> Iterator[Moment]:
    """From the first version to a promotion; the previous version stays warm."""
    churn = make(rollout=KEEPING)
    churn.apply("1")
    churn.until_serves("1")
    yield _of("healthy_firstVersion", churn)
    first = churn.revision()
    churn.apply("2")
    candidate = churn.until_percent(20)["candidate"]["revision"]
    yield _of("progressing_canary", churn)
    yield _revision("progressing_candidate", churn, candidate)
    churn.until_serves("2")
    yield _of("healthy_promoted", churn)
    yield _revision("healthy_stable", churn, candidate)
    yield _revision("healthy_previous", churn, first)


def rolled_back(_: Site, make: Make) -> Iterator[Moment]:
    """A version that fails a fifth of its requests."""
    churn = make()
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2-bad")
    refused = churn.until_ended("RolledBack")["revision"]
    churn.until_says("Stalled", "True", "RolledBack")
    yield _of("degraded_rolledBack", churn)
    yield _revision("degraded_rolledBack", churn, refused)


def aborted(_: Site, make: Make) -> Iterator[Moment]:
    """A person takes it back."""
    churn = make(rollout=LONG)
    candidate = _second(churn)
    churn.annotate("pause", "true")
    churn.until_says("UpToDate", "False", "Paused")
    yield _of("suspended_paused", churn)
    churn.annotate("pause", None)
    churn.until_says("UpToDate", "False", "InProgress")
    churn.annotate("abort", f"{candidate}/1")
    churn.until_ended("Aborted")
    yield _of("degraded_aborted", churn)


def approved(_: Site, make: Make) -> Iterator[Moment]:
    """A person is asked."""
    churn = make(rollout=ASKING)
    _second(churn)
    churn.until_says("UpToDate", "False", "AwaitingApproval")
    yield _of("suspended_awaitingApproval", churn)


def undecided(_: Site, make: Make) -> Iterator[Moment]:
    """The deadline is over, and neither harm nor safety is proven."""
    churn = make(rollout=STUCK)
    _second(churn)
    churn.until_says("UpToDate", "False", "Undecided")
    yield _of("progressing_undecided", churn)


def refused(_: Site, make: Make) -> Iterator[Moment]:
    """A spec that cannot be acted on, while a version serves."""
    churn = make()
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2", runtime="no-such-runtime")
    churn.until_says("Accepted", "False", "RuntimeNotFound")
    yield _of("degraded_notAccepted", churn)


def not_ready(_: Site, make: Make) -> Iterator[Moment]:
    """A first version whose image cannot be pulled."""
    waiting = {"metadata": {"annotations": {"pretend.pointsman.dev/waiting": "ImagePullBackOff"}}}
    churn = make(template=waiting)
    churn.apply("1")
    churn.until(lambda s: "ImagePullBackOff" in condition(s, "Ready").get("message", ""))
    yield _of("progressing_noReadyPod", churn)


def catalogue(site: Site, make: Make) -> Iterator[Moment]:
    """What the platform team writes, right and wrong."""
    name = make().name  # nobody else's
    ambiguous = runtime(f"{name}-x")
    ambiguous["spec"]["port"] = "grpc"
    crowded: Object = {"steps": [{"canary": {"percent": 5}}], "capacity": {"maxSurge": "100%"}}
    unclosed = {"name": "memory", "signal": "Threshold", "threshold": {"query": "max(gpu_memory_ratio", "max": "0.9"}}
    wrong: Object = {"steps": [{"canary": {"percent": 5}}], "gates": [unclosed]}
    written = (
        ("healthy_accepted", runtime(name)),
        ("degraded_invalidTemplate", ambiguous),
        ("healthy_accepted", _policy(name, crowded)),
        ("degraded_invalidPolicy", _policy(f"{name}-x", wrong)),
    )
    for moment, obj in written:
        kind = MODEL_RUNTIME if obj["kind"] == "ModelRuntime" else ROLLOUT_POLICY
        obj["metadata"]["labels"] = {DEPLOYMENT: name}
        site.server.create(obj)
        try:
            found = eventually(
                lambda kind=kind, obj=obj: _get(site.server, kind, obj["metadata"]["name"]),  # type: ignore[misc]
                lambda seen: "conditions" in seen["status"],
            )
        finally:
            site.server.delete(kind, obj["metadata"]["name"])
        yield Moment(moment, found)


def _policy(name: str, spec: Object) -> Object:
    return {"apiVersion": API_VERSION, "kind": "RolloutPolicy", "metadata": {"name": name}, "spec": spec}


STORIES: tuple[Story, ...] = (promoted, rolled_back, aborted, approved, undecided, refused, not_ready, catalogue)


def told(site: Site, make: Make) -> list[Moment]:
    """All of them, and what only the first moment of an object is: before the operator has said anything of it."""
    moments = [moment for story in STORIES for moment in story(site, make)]
    return [*moments, *_unsaid(moments)]


def _unsaid(moments: list[Moment]) -> Iterator[Moment]:
    seen: set[str] = set()
    for moment in moments:
        if moment.kind not in seen:
            seen.add(moment.kind)
            plain = {key: value for key, value in moment.object.items() if key != "status"}
            if moment.kind == "ModelRevision":
                yield Moment("progressing_new", plain)
                continue
            yield Moment("progressing_new", plain | {"status": {"observedGeneration": -1}})  # the CRD's default
            meta = moment.object["metadata"]
            newer = {**meta, "generation": meta["generation"] + 1}
            yield Moment("progressing_newGeneration", {**moment.object, "metadata": newer})
